"""Keras 3: model.fit on arrays in memory. With JAX it compiles each step, with torch it does not, by its own choice.

Written after Keras's VAE example (keras.io/examples/generative/vae), with dense layers, and with compute_loss instead
of train_step, so that one model serves both backends. The cross-entropy is spelled out because that is faster than
ops.binary_crossentropy; steps_per_execution and mixed_bfloat16 were tried and made it no faster with JAX.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from contest import (
    BATCH,
    HIDDEN,
    LATENT,
    LEARNING_RATE,
    PIXELS,
    SEED,
    TEST_BATCH,
    options,
    report_end,
    report_epoch,
    unit_images,
)

os.environ["KERAS_BACKEND"] = sys.argv[sys.argv.index("--backend") + 1]  # Keras reads it while it is imported

import keras  # type: ignore[import-not-found]
from keras import ops


class VAE(keras.Model):  # type: ignore[misc]
    """images -> (logits, mu, logvar)."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = keras.random.SeedGenerator(SEED)
        self.encoder = keras.Sequential(
            [keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(2 * LATENT)], name="encoder"
        )
        self.decoder = keras.Sequential(
            [keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(PIXELS)], name="decoder"
        )

    def call(self, x: Any) -> tuple[Any, Any, Any]:
        mu, logvar = ops.split(self.encoder(x), 2, axis=1)
        z = mu + ops.exp(0.5 * logvar) * keras.random.normal(ops.shape(mu), seed=self.noise)
        return self.decoder(z), mu, logvar

    def compute_loss(self, x: Any, y: Any, y_pred: Any, *_: Any, **__: Any) -> Any:
        logits, mu, logvar = y_pred
        recon = ops.sum(ops.softplus(logits) - x * logits, axis=1)
        kl = 0.5 * ops.sum(ops.square(mu) + ops.exp(logvar) - 1.0 - logvar, axis=1)
        return ops.mean(recon + kl)


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        report_epoch(epoch + 1, time.perf_counter() - self.start)


def main() -> None:
    parser = options()
    parser.add_argument("--backend", choices=("jax", "torch"), required=True)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    x_train, x_test = unit_images(arguments.root)
    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE))
    model.fit(x_train, batch_size=BATCH, epochs=arguments.epochs, verbose=0, callbacks=[Clock()])
    report_end(model.evaluate(x_test, batch_size=TEST_BATCH, verbose=0), "keras", arguments.backend)


if __name__ == "__main__":
    main()
