"""The model that the demonstration serves: softmax regression on card payments, trained when a server starts.

The payments are drawn from a seeded generator, so every server that names the same seed trains the
same weights and gives the same answers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECISIONS = ("pass", "review", "block")
FEATURES = ("amount", "hour", "distance_km", "account_days")


@dataclass(frozen=True)
class Scored:
    """What the model says of one payment: the likeliest decision and the probability of each."""

    decision: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class PaymentModel:
    """Trained weights, one column a decision; the first row is the bias."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    def score(self, payment: list[float]) -> Scored:
        """The decision on one payment, given as its FEATURES in order."""
        features = _design(_derived(np.asarray([payment], dtype=np.float64)), self.mean, self.scale)
        probabilities = _softmax(features @ self.weights)[0]
        return Scored(
            decision=DECISIONS[int(np.argmax(probabilities))],
            probabilities={name: float(p) for name, p in zip(DECISIONS, probabilities, strict=True)},
        )


def train(seed: int = 7, payments: int = 2000, steps: int = 300) -> PaymentModel:
    """Fit by full-batch gradient descent on the cross-entropy with a small ridge; about 0.1 s."""
    raw, labels = _payments(np.random.default_rng(seed), payments)
    derived = _derived(raw)
    mean, scale = derived.mean(axis=0), derived.std(axis=0)
    features = _design(derived, mean, scale)
    wanted = np.eye(len(DECISIONS))[labels]
    weights = np.zeros((features.shape[1], len(DECISIONS)))
    for _ in range(steps):
        gradient = features.T @ (_softmax(features @ weights) - wanted) / payments + 1e-3 * weights
        weights -= 1.0 * gradient
    return PaymentModel(mean=mean, scale=scale, weights=weights)


def _payments(random: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    amount = random.lognormal(3.5, 1.0, count)
    hour = random.uniform(0.0, 24.0, count)
    distance = random.exponential(80.0, count)
    age = random.exponential(500.0, count)
    suspicion = 0.9 * np.log(amount) + 0.012 * distance - 0.004 * age + 1.2 * (hour < 5.0)
    suspicion += random.normal(0.0, 0.5, count)
    labels = np.digitize(suspicion, np.quantile(suspicion, (0.8, 0.95)))
    return np.column_stack((amount, hour, distance, age)), labels.astype(np.int64)


def _derived(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amounts by their logarithm and the hour by whether it is night: what the labels are linear in."""
    columns = (
        np.log(np.maximum(raw[:, 0], 0.01)),
        (raw[:, 1] < 5.0).astype(np.float64),
        raw[:, 2],
        raw[:, 3],
    )
    return np.column_stack(columns)


def _design(derived: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack((np.ones(len(derived)), (derived - mean) / scale))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
