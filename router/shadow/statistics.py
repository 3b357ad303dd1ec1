"""Bounds for a rate that may be looked at after every request, without inflating the error. Pure.

The tests are one-sided mixture likelihood ratios of the Bernoulli distribution. For the null hypothesis
"the rate is at most p", the alternative is mixed over the rates above p with a Beta(1/2, 1/2) density
truncated there. The ratio is a nonnegative supermartingale under every rate of the null, so by Ville's
inequality the chance that it ever reaches 1/alpha is at most alpha, however often and whenever one looks.
Inverting it gives a confidence sequence.

Sources: H. Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of
Mathematical Statistics 41 (1970); S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform,
nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49 (2021), section 3 (conjugate and
one-sided beta-binomial mixtures); I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables
by betting", JRSS B 86 (2024). The incomplete beta function is the continued fraction of DLMF 8.17.22 by
Lentz's method. Bounds are found by M. Dowell, P. Jarratt, "A modified regula falsi method", BIT 11 (1971).

Only the counts are needed, so evidence can be saved, merged and taken up again.
"""

import math
from functools import lru_cache

_PRIOR = 0.5
_TINY = 1e-300
_MAX_TERMS = 20_000
_CLOSE = 1e-12
_MOST_STEPS = 200
_MOST_NEEDED = 10_000_000


@lru_cache(maxsize=8192)
def log_e_value(successes: int, failures: int, rate: float) -> float:
    """The logarithm of the evidence against "the true rate of success is at most ``rate``".

    ``rate`` is strictly between 0 and 1. At log(1/alpha) the hypothesis is rejected at level alpha.
    """
    a, b = _PRIOR + successes, _PRIOR + failures
    mixed = _log_beta(a, b) + _log_upper_tail(rate, a, b)
    # B(1/2, 1/2) is pi, and the upper tail of that distribution is 2/pi acos(sqrt(rate)).
    prior = math.log(2 * math.atan2(math.sqrt(1 - rate), math.sqrt(rate)))
    return mixed - prior - successes * math.log(rate) - failures * math.log1p(-rate)


@lru_cache(maxsize=4096)
def lower_bound(successes: int, failures: int, alpha: float = 0.05) -> float:
    """A lower confidence bound of the rate at level 1 - alpha, valid at every moment of looking.

    At most 1e-12 below the rate at which the hypothesis is just rejected, and never above it: a dozen steps lead there.
    """
    if successes == 0:
        return 0.0
    needed = math.log(1 / alpha)
    low, high = _CLOSE, min(successes / (successes + failures), 1 - _CLOSE)
    least = log_e_value(successes, failures, high)
    if least >= needed:
        return high
    # Evidence grows with about the square of the distance from the observed rate, so its root is nearly a line.
    target = math.sqrt(needed - least)
    above, below = math.sqrt(max(log_e_value(successes, failures, low) - least, 0.0)) - target, -target
    kept = ""
    for _ in range(_MOST_STEPS):
        if high - low <= _CLOSE:
            break
        share = above / (above - below) if above > below else 0.5
        rate = min(max(low + (high - low) * share, low + _CLOSE / 2), high - _CLOSE / 2)
        evidence = log_e_value(successes, failures, rate)
        off = math.sqrt(max(evidence - least, 0.0)) - target
        # An end that stays twice counts half, so that the other one does not only creep up to the root.
        if evidence >= needed:
            low, above, below, kept = rate, off, below / 2 if kept == "high" else below, "high"
        else:
            high, below, above, kept = rate, off, above / 2 if kept == "low" else above, "low"
    return low


def upper_bound(successes: int, failures: int, alpha: float = 0.05) -> float:
    """An upper confidence bound of the rate at level 1 - alpha, valid at every moment of looking."""
    return 1.0 - lower_bound(failures, successes, alpha)


def rejects_at_most(successes: int, failures: int, rate: float, alpha: float) -> bool:
    """Whether the counts rule out, at level alpha, that the true rate is at most ``rate``."""
    if rate >= 1.0:
        return False
    if rate <= 0.0:
        return successes > 0
    return log_e_value(successes, failures, rate) >= math.log(1 / alpha)


def more_needed(successes: int, failures: int, rate: float, alpha: float) -> int | None:
    """How many successes in a row would rule out a rate of at most ``rate``; None where none would do."""
    if rejects_at_most(successes, failures, rate, alpha):
        return 0
    if rate >= 1.0:
        return None
    few, many = 0, 1
    while not rejects_at_most(successes + many, failures, rate, alpha):
        few, many = many, many * 2
        if many > _MOST_NEEDED:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        if rejects_at_most(successes + middle, failures, rate, alpha):
            many = middle
        else:
            few = middle
    return many


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_upper_tail(x: float, a: float, b: float) -> float:
    """log(1 - I_x(a, b)), the regularised incomplete beta function's upper tail."""
    if x < (a + 1) / (a + b + 2):
        below = _log_lower_tail(x, a, b)
        return math.log1p(-math.exp(below)) if below < 0 else -math.inf
    return _log_lower_tail(1 - x, b, a)


def _log_lower_tail(x: float, a: float, b: float) -> float:
    """Logarithm of I_x(a, b) where the continued fraction converges fast: x < (a + 1)/(a + b + 2)."""
    front = a * math.log(x) + b * math.log1p(-x) - math.log(a) - _log_beta(a, b)
    c = 1.0
    d = 1 / (1 - (a + b) * x / (a + 1) or _TINY)
    fraction = d
    for m in range(1, _MAX_TERMS):
        at = a + 2 * m
        even = m * (b - m) * x / ((at - 1) * at)
        # Lentz's method keeps every one of these away from zero: ``or``, since a call for each takes longer than all.
        d = 1 / (1 + even * d or _TINY)
        c = 1 + even / c or _TINY
        fraction *= c * d
        odd = -(a + m) * (a + b + m) * x / (at * (at + 1))
        d = 1 / (1 + odd * d or _TINY)
        c = 1 + odd / c or _TINY
        change = c * d
        fraction *= change
        if -1e-13 < change - 1 < 1e-13:
            break
    return front + math.log(fraction)
