"""Generator, scorer, decoder, normaliser and clamp in one module: what is trained, saved and exported."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from kdp_core.action_scorer import ActionScorer
from kdp_core.clamp import clamp_mask
from kdp_core.exceptions import ConfigError
from kdp_core.generator import Generator, NetworkSize, Scorer
from kdp_core.spec import Spec
from kdp_core.windows import MIN_STD, WindowBatch, window_scale


def clamped_entries(spec: Spec) -> Tensor:
    """Mask (H, D) of the entries that the condition fixes (Eq. 6, and Eq. 7 where the spec clamps a goal)."""
    channels = []
    if spec.goal.mode == "clamp":
        for name in spec.goal.channels:
            columns = spec.slice("state", name)
            channels += list(range(columns.start, columns.stop))
    return clamp_mask(spec.horizon, spec.d_state, spec.d_action, True, channels, spec.goal.step)


def fit_decoder(flat: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orthonormal basis of the free entries: (mean (F,), basis (C, F), spread (C,)).

    With 0 components C = F and the basis is the identity.
    """
    mean = flat.mean(axis=0)
    if components <= 0 or components >= flat.shape[1]:
        return mean, np.eye(flat.shape[1]), np.maximum(flat.std(axis=0), 1e-3)
    centred = flat - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(flat))
    order = np.argsort(values)[::-1][:components]
    return mean, vectors[:, order].T, np.sqrt(np.maximum(values[order], 1e-8))


class KdpModel(nn.Module):
    """Windows and scores in physical units from physical conditions.

    Coordinates are those of the whitened free entries in the decoder's orthonormal basis, so distances
    between coordinates are distances between windows (up to what the basis leaves out).
    """

    clamped: Tensor
    mean: Tensor
    basis: Tensor
    decoder: Tensor
    offset: Tensor
    row_mean: Tensor
    row_std: Tensor
    reference: Tensor
    condition_mean: Tensor
    condition_std: Tensor

    def __init__(self, spec: Spec, size: NetworkSize, components: int) -> None:
        super().__init__()
        self.spec = spec
        self.size = size
        mask = clamped_entries(spec)
        self.d_free = int((~mask).sum())
        self.d_coordinates = components if 0 < components < self.d_free else self.d_free
        d_condition = spec.d_state + spec.d_context + spec.d_goal
        self.register_buffer("clamped", mask)
        self.register_buffer("mean", torch.zeros(self.d_free))
        self.register_buffer("basis", torch.zeros(self.d_coordinates, self.d_free))
        self.register_buffer("decoder", torch.zeros(self.d_coordinates, mask.numel()))
        self.register_buffer("offset", torch.zeros(mask.numel()))
        n = spec.normaliser
        assert n is not None
        row_mean, row_std = window_scale(spec)
        if (
            spec.reference.any()
        ):  # displacements grow along the window: each row gets its own scale in ``fit``
            row_mean, row_std = (np.tile(v, (spec.horizon, 1)) for v in (row_mean, row_std))
        self.register_buffer("row_mean", torch.tensor(row_mean, dtype=torch.float32))
        self.register_buffer("row_std", torch.tensor(row_std, dtype=torch.float32))
        self.register_buffer(
            "reference", torch.from_numpy(spec.reference.astype(np.float32)), persistent=False
        )
        self.relative = bool(spec.reference.any())
        self.goal_columns = (
            [
                c
                for name in spec.goal.channels
                for c in range(*spec.slice("state", name).indices(spec.d_state))
            ]
            if spec.goal.mode == "clamp"
            else []
        )
        goal_mean = tuple(n.state_mean[c] for c in self.goal_columns)
        goal_std = tuple(n.state_std[c] for c in self.goal_columns)
        self.register_buffer("condition_mean", torch.tensor(n.state_mean + n.context_mean + goal_mean))
        self.register_buffer("condition_std", torch.tensor(n.state_std + n.context_std + goal_std))
        self.generator = Generator(d_condition, self.d_coordinates, size)
        self.scorer: Scorer | ActionScorer
        if size.scorer_actions > spec.horizon:
            raise ConfigError(
                f"train.network.scorer_actions must be at most the horizon {spec.horizon}, "
                f"got {size.scorer_actions}"
            )
        if size.scorer_actions:
            judged = size.scorer_actions * spec.d_action
            self.scorer = ActionScorer(d_condition, self.d_coordinates, judged, size)
        else:
            self.scorer = Scorer(d_condition, self.d_coordinates, size)

    @property
    def d_noise(self) -> int:
        """Normal numbers that one candidate takes."""
        return self.size.d_noise

    @property
    def nfe(self) -> int:
        """Network evaluations in sequence for a window."""
        return 1

    def fit(self, batch: WindowBatch, components: int, sample: int = 20000, seed: int = 0) -> None:
        """Fit the decoder (and the rows' scales where channels are relative) to a sample of the windows."""
        index = np.random.default_rng(seed).permutation(len(batch))[:sample]
        if self.relative:
            windows = torch.from_numpy(batch.windows[index])
            windows = windows - windows[:, :1, : self.spec.d_state] @ self.reference
            std = windows.std(dim=0, correction=0)
            self.row_mean.copy_(windows.mean(dim=0))
            self.row_std.copy_(torch.where(std < MIN_STD, torch.ones_like(std), std))
        flat = self.flatten(torch.from_numpy(batch.windows[index])).numpy().astype(np.float64)
        mean, basis, spread = fit_decoder(flat, components)
        self.mean.copy_(torch.from_numpy(mean))
        self.basis.copy_(torch.from_numpy(basis))
        scatter = torch.eye(self.clamped.numel())[(~self.clamped).flatten()]
        row_mean, row_std = (v.expand(self.clamped.shape).flatten() for v in (self.row_mean, self.row_std))
        self.decoder.copy_(self.basis @ scatter * row_std)
        self.offset.copy_(self.mean @ scatter * row_std + row_mean)
        if isinstance(self.scorer, ActionScorer):
            entries = torch.zeros_like(self.clamped)
            entries[: self.size.scorer_actions, self.spec.d_state :] = True
            self.scorer.judged.copy_(self.basis[:, entries[~self.clamped]])
        for network in (self.generator, self.scorer, getattr(self.generator, "base", None)):
            if network is not None:
                network.spread.copy_(torch.from_numpy(spread))

    def flatten(self, windows: Tensor) -> Tensor:
        """Physical windows (…, H, D) to whitened free entries (…, F).

        Relative channels are counted from the state in the window's first row.
        """
        if self.relative:
            windows = windows - windows[..., :1, : self.spec.d_state] @ self.reference
        return ((windows - self.row_mean) / self.row_std)[..., ~self.clamped]

    def encode(self, windows: Tensor) -> Tensor:
        """Physical windows (…, H, D) to coordinates (…, C)."""
        out: Tensor = (self.flatten(windows) - self.mean) @ self.basis.T
        return out

    def condition(self, state: Tensor, context: Tensor) -> Tensor:
        """Physical state (…, d_s) and context (…, d_c + d_goal) to the whitened condition.

        Relative state channels enter as zero.
        """
        if self.relative:
            state = state - state @ self.reference[:, : self.spec.d_state]
        out: Tensor = (torch.cat([state, context], dim=-1) - self.condition_mean) / self.condition_std
        return out

    def decode(self, coordinates: Tensor, state: Tensor, context: Tensor) -> Tensor:
        """Coordinates (…, G, C) to clamped windows (…, G, H, D), physical units (Eq. 6, Eq. 7)."""
        fixed = torch.zeros_like(self.offset).unflatten(-1, tuple(self.clamped.shape))
        fixed = fixed.expand(*state.shape[:-1], *fixed.shape).clone()
        fixed[..., 0, : self.spec.d_state] = state
        if self.goal_columns:
            fixed[..., self.spec.goal.step, self.goal_columns] = context[..., -len(self.goal_columns) :]
        # The decoder's columns of clamped entries are zero, so the condition enters as a bias.
        offset = self.offset.unflatten(-1, tuple(self.clamped.shape))
        if self.relative:
            offset = offset + (state @ self.reference).unsqueeze(-2)
        bias = torch.where(self.clamped, fixed, offset)
        windows: Tensor = coordinates @ self.decoder + bias.flatten(-2).unsqueeze(-2)
        return windows.unflatten(-1, tuple(self.clamped.shape))

    def forward(self, state: Tensor, context: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """State (1, d_s), context (1, d_c + d_goal), noise (K, d_z) -> windows (K, H, D), scores (K,)."""
        # Everything stays two-dimensional, so that onnxruntime fuses each layer's product and bias.
        condition = self.condition(state, context)
        coordinates = self._generate(noise, condition)
        windows = self.decode(coordinates, state[0], context[0])
        return windows, self.scorer.score(coordinates, self.scorer.encoder(condition))

    def _generate(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Noise (K, d_z), condition (1, d) -> coordinates (K, C)."""
        residual = self.generator.residual(noise, self.generator.encoder(condition))
        return residual if self.generator.base is None else residual + self.generator.base(condition)
