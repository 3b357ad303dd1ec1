"""Makes what puts the questions of every signature to a listener."""

from inventory.model import Listener
from inventory.settings import Settings
from scanner.findings import Finding, Limits
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.questions import new_token, question
from scanner.recall import Recall
from scanner.sources.source import Ask


def asker(settings: Settings) -> Ask:
    """What asks a listener, with the signatures and the limits of the settings. Raises SignatureError.

    Each listener has a ledger of its own: scans of scopes that overlap may meet at one.
    """
    knowledge = load_knowledge(settings.signatures)
    limits = Limits(connect=settings.scan_timeout, answer=settings.answer_timeout, host=settings.host_timeout)
    recall = Recall(knowledge, limits, new_token())

    async def ask(listener: Listener) -> tuple[Finding, ...]:
        return await question(listener, knowledge, limits, Ledger(knowledge), recall)

    return ask
