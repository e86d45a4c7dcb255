"""Behaviour policies from arrays: a Gaussian multilayer perceptron in a NumPy file, no pickle.

Keys of the file:
``w0, b0, w1, b1, …``: layer i is ``h = act(w_i @ h + b_i)``, the last one without activation;
``activation``: ``relu`` or ``tanh``; ``squash``: ``tanh``, or ``clip`` to ±1;
``obs_mean, obs_var, obs_eps, obs_clip``: ``o = clip((o - mean) / sqrt(var + eps), ±clip)``, or
``obs_mean, obs_scale``: ``o = (o - mean) / scale``, or neither;
``act_shift, act_scale``: ``mu = mu * scale + shift``, or neither;
``log_std_w, log_std_b``: ``log_std = clip(log_std_w @ h + log_std_b, -20, 2)``, h the last hidden layer, or
``log_std_b`` alone, constant. The action is ``squash(mu + exp(log_std) * N(0, I))``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdp_core.exceptions import DataError

Array = NDArray[np.float64]
RUNNING = ("obs_mean", "obs_var", "obs_eps", "obs_clip")
FIXED = ("obs_mean", "obs_scale")
LOG_STD_RANGE = (-20.0, 2.0)
_LAYER = ("w", "b")


class NpzPolicy:
    """A policy ``action(observation, rng)``; without a generator its most probable action."""

    def __init__(self, arrays: Mapping[str, np.ndarray], source: str) -> None:
        """Check the arrays. Raises DataError naming ``source``, the key and what was expected."""
        self._arrays, self._source = arrays, source
        self._relu = self._word("activation", ("relu", "tanh")) == "relu"
        self._tanh = self._word("squash", ("tanh", "clip")) == "tanh"
        self._layers = self._read_layers()
        self.d_observation = self._layers[0][0].shape[1]
        self.d_action = len(self._layers[-1][1])
        self._observation = self._read_observation()
        self._action = self._read_action()
        self._log_std_w = self._read_log_std()
        self._log_std_b = self._numbers("log_std_b", (self.d_action,))

    @classmethod
    def load(cls, path: str | Path) -> NpzPolicy:
        """Read a file. Raises DataError if it is missing, damaged or not of this format."""
        try:
            file = np.load(path, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: is one array, expected a policy file (.npz) with w0, b0, ...")
            with file:
                arrays = {name: file[name] for name in file.files}
        except OSError as cause:
            raise DataError(f"{path}: cannot be read: {cause.strerror or cause}") from None
        except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as cause:
            reason = " ".join(str(cause).split())
            raise DataError(f"{path}: not a policy file (.npz without pickled objects): {reason}") from None
        return cls(arrays, str(path))

    def begin(self, env: object) -> None:
        """Nothing is remembered from one step to the next."""

    def action(self, observation: np.ndarray, rng: np.random.Generator | None = None) -> Array:
        """Observation (d_o,) to action (d_a,) in [-1, 1]."""
        h = np.asarray(observation, np.float64)
        if self._observation is not None:
            mean, scale, limit = self._observation
            h = np.clip((h - mean) / scale, -limit, limit)
        for weight, bias in self._layers[:-1]:
            h = weight @ h + bias
            h = np.maximum(h, 0.0) if self._relu else np.tanh(h)
        weight, bias = self._layers[-1]
        mu = weight @ h + bias
        if self._action is not None:
            mu = mu * self._action[0] + self._action[1]
        if rng is not None:
            mu = mu + np.exp(self._log_std(h)) * rng.standard_normal(self.d_action)
        out: Array = np.tanh(mu) if self._tanh else np.clip(mu, -1.0, 1.0)
        return out

    def _log_std(self, h: Array) -> Array:
        if self._log_std_w is None:
            return self._log_std_b
        out: Array = np.clip(self._log_std_w @ h + self._log_std_b, *LOG_STD_RANGE)
        return out

    def _read_layers(self) -> list[tuple[Array, Array]]:
        numbers = {int(n[1:]) for n in self._arrays if n[:1] in _LAYER and n[1:].isdecimal()}
        layers: list[tuple[Array, Array]] = []
        for i in range(max(numbers, default=0) + 1):
            inputs = len(layers[-1][1]) if layers else None
            weight = self._numbers(f"w{i}", (None, inputs))
            layers.append((weight, self._numbers(f"b{i}", (len(weight),))))
        return layers

    def _read_observation(self) -> tuple[Array, Array, float] | None:
        present = {name for name in self._arrays if name.startswith("obs_")}
        if not present:
            return None
        if present not in (set(RUNNING), set(FIXED)):
            raise DataError(
                f"{self._source}: {', '.join(sorted(present))}: expected all of {', '.join(RUNNING)}, "
                f"or {', '.join(FIXED)}, or none"
            )
        size = (self.d_observation,)
        mean = self._numbers("obs_mean", size)
        if present == set(FIXED):
            return mean, self._not_zero("obs_scale", self._numbers("obs_scale", size)), np.inf
        variance = self._numbers("obs_var", size) + self._numbers("obs_eps", ())
        scale = np.sqrt(np.maximum(variance, 0.0))
        return mean, self._not_zero("obs_var", scale), float(self._numbers("obs_clip", ()))

    def _read_action(self) -> tuple[Array, Array] | None:
        present = {"act_scale", "act_shift"} & set(self._arrays)
        if not present:
            return None
        size = (self.d_action,)
        return self._numbers("act_scale", size), self._numbers("act_shift", size)

    def _read_log_std(self) -> Array | None:
        if "log_std_w" not in self._arrays:
            return None
        return self._numbers("log_std_w", (self.d_action, self._layers[-1][0].shape[1]))

    def _not_zero(self, name: str, scale: Array) -> Array:
        if not (scale > 0.0).all():
            raise DataError(f"{self._source}: {name} must be greater than 0 everywhere")
        return scale

    def _word(self, name: str, allowed: tuple[str, str]) -> str:
        if name not in self._arrays:
            raise DataError(f"{self._source}: {name} is missing, expected {' or '.join(allowed)}")
        word = str(self._arrays[name])
        if word not in allowed:
            raise DataError(f"{self._source}: {name} must be {' or '.join(allowed)}, got {word!r:.40}")
        return word

    def _numbers(self, name: str, shape: tuple[int | None, ...]) -> Array:
        """An array of the file; None in ``shape``: any size of at least 1."""
        if name not in self._arrays:
            raise DataError(f"{self._source}: {name} is missing")
        array = self._arrays[name]
        fits = array.ndim == len(shape) and all(
            have == want or (want is None and have > 0) for have, want in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype.kind not in "fiu":
            wanted = str(shape).replace("None", "any")
            raise DataError(
                f"{self._source}: {name} is {array.dtype} {array.shape}, expected numbers of shape {wanted}"
            )
        if not np.isfinite(array).all():
            raise DataError(f"{self._source}: {name} must be finite")
        return array.astype(np.float64)
