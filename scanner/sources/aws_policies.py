"""Who an AWS account's own policies let do something: pure, over what IAM tells of users, groups and roles.

A simplification that errs on the side of "may": conditions are not evaluated (a grant under conditions is a grant,
and said to be conditional; a denial under conditions is none), and organisation policies, permission boundaries and
sessions are not known here. Source: IAM User Guide, "Policy evaluation logic".
"""

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Grants:
    """The statements that hold for each principal (``role/deployer``, ``user/ana``)."""

    of: Mapping[str, tuple[Mapping[str, Any], ...]]

    def allowed(self, action: str, resource: str) -> list[str]:
        """The principals that may do ``action`` (``sagemaker:InvokeEndpoint``) on an ARN, sorted."""
        found = []
        for principal, statements in self.of.items():
            matching = [one for one in statements if _applies(one, action, resource)]
            if any(one.get("Effect") == "Deny" and not one.get("Condition") for one in matching):
                continue
            allowing = [one for one in matching if one.get("Effect") == "Allow"]
            if allowing:
                conditional = all(one.get("Condition") for one in allowing)
                found.append(f"{principal} (under conditions)" if conditional else principal)
        return sorted(found)


def grants_of(pages: Iterable[Mapping[str, Any]]) -> Grants:
    """The grants in the pages of ``GetAccountAuthorizationDetails``."""
    details: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for page in pages:
        for key in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"):
            details[key] += page.get(key) or []
    managed = {str(one.get("Arn")): _default_version(one) for one in details["Policies"]}
    groups = {
        str(one.get("GroupName")): tuple(_statements(one, "GroupPolicyList", managed))
        for one in details["GroupDetailList"]
    }
    of: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for user in details["UserDetailList"]:
        inherited = (one for name in user.get("GroupList") or [] for one in groups.get(str(name), ()))
        of[f"user/{user.get('UserName')}"] = (*_statements(user, "UserPolicyList", managed), *inherited)
    for role in details["RoleDetailList"]:
        of[f"role/{role.get('RoleName')}"] = tuple(_statements(role, "RolePolicyList", managed))
    return Grants(of)


def _default_version(policy: Mapping[str, Any]) -> Any:
    versions = policy.get("PolicyVersionList") or []
    return next((one.get("Document") for one in versions if one.get("IsDefaultVersion")), None)


def _statements(holder: Mapping[str, Any], inline: str, managed: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    documents = [one.get("PolicyDocument") for one in holder.get(inline) or []]
    documents += [managed.get(str(one.get("PolicyArn"))) for one in holder.get("AttachedManagedPolicies") or []]
    for document in documents:
        if isinstance(document, Mapping):
            statements = document.get("Statement") or []
            yield from (statements if isinstance(statements, list) else [statements])


def _applies(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    return _names(statement, "Action", action.lower(), fold=True) and _names(
        statement, "Resource", resource, fold=False
    )


def _names(statement: Mapping[str, Any], key: str, value: str, *, fold: bool) -> bool:
    """Whether a statement names a value, by ``Action`` or as all but those of ``NotAction``."""
    negated = f"Not{key}" in statement
    patterns = statement.get(f"Not{key}" if negated else key) or []
    texts = [patterns] if isinstance(patterns, str) else [str(one) for one in patterns]
    matches = any(fnmatch.fnmatchcase(value, _literal(one.lower() if fold else one)) for one in texts)
    return matches != negated


def _literal(pattern: str) -> str:
    """A policy's pattern, in which only ``*`` and ``?`` are special."""
    return pattern.replace("[", "[[]")
