"""A real small training in numpy: a network learns to tell ten overlapping classes apart."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

INPUTS = 32
CLASSES = 10
HIDDEN = 16
BATCH = 64
EXAMPLES = 16384
SPREAD = 0.4
LEARNING_RATE = 0.3
MOMENTUM = 0.9


class Training:
    """Stochastic gradient descent with momentum on the cross-entropy of a two-layer network.

    The learning rate is too high by about thirty times and stays so: the script has no schedule. The loss
    falls, then hangs well above what the network could reach, because each step jumps over the valley's floor.

    Parameters
    ----------
    seed
        Decides the classes, the examples, the first weights and the order of the batches. Two trainings of one
        seed differ in nothing but the learning rates they are given.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        draw = self._random.standard_normal
        centres = draw((CLASSES, INPUTS)) * SPREAD
        self._labels = self._random.integers(0, CLASSES, EXAMPLES)
        self._examples = centres[self._labels] + draw((EXAMPLES, INPUTS))
        self._weights: list[Matrix] = [
            draw((INPUTS, HIDDEN)) * np.sqrt(2.0 / INPUTS),
            np.zeros(HIDDEN),
            draw((HIDDEN, CLASSES)) * np.sqrt(1.0 / HIDDEN),
            np.zeros(CLASSES),
        ]
        self._velocity = [np.zeros_like(weight) for weight in self._weights]

    def step(self, learning_rate: float) -> float:
        """Make one optimizer step; returns the loss of its batch (mean cross-entropy in nats, before the step)."""
        picked = self._random.integers(0, EXAMPLES, BATCH)
        inputs, labels = self._examples[picked], self._labels[picked]
        hidden, chances = self._forward(inputs)
        loss = float(-np.log(np.maximum(chances[np.arange(BATCH), labels], 1e-12)).mean())
        error = chances
        error[np.arange(BATCH), labels] -= 1.0
        error /= BATCH
        back = (error @ self._weights[2].T) * (hidden > 0.0)
        gradients = [inputs.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
        for weight, velocity, gradient in zip(self._weights, self._velocity, gradients, strict=True):
            velocity *= MOMENTUM
            velocity -= learning_rate * gradient
            weight += velocity
        return loss

    def loss(self) -> float:
        """Return the mean cross-entropy over all examples, in nats."""
        _, chances = self._forward(self._examples)
        return float(-np.log(np.maximum(chances[np.arange(EXAMPLES), self._labels], 1e-12)).mean())

    def _forward(self, inputs: Matrix) -> tuple[Matrix, Matrix]:
        hidden = np.maximum(inputs @ self._weights[0] + self._weights[1], 0.0)
        scores = hidden @ self._weights[2] + self._weights[3]
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        return hidden, chances
