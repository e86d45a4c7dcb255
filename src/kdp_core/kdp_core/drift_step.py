"""One step of Algorithm 1 without the optimiser: windows generated under anchors, and their field.

Our trainer and the policy inside lerobot's training loop take the same step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdp_core.drift import energy_field, joint_field, kdp_field, mean_field
from kdp_core.model import KdpModel
from kdp_core.neighbourhood import Neighbourhood
from kdp_core.train_config import TrainConfig


def drift(
    model: KdpModel,
    config: TrainConfig,
    condition: Tensor,
    data: Tensor,
    neighbourhood: Neighbourhood,
    anchors: Tensor,
    rng: torch.Generator,
    step: int = 0,
) -> tuple[Tensor, Tensor, float]:
    """Generate windows under the anchors' conditions and compute their field.

    Args:
        model: whose generator is trained.
        config: field and its options.
        condition: (W, d) whitened conditions of all data windows.
        data: (W, C) coordinates of all data windows, counted from the generator's base if it has one.
        neighbourhood: which of them are each one's neighbours.
        anchors: (N,) rows of the anchor conditions.
        rng: source of all noise.
        step: of ``config.steps``, which temperatures may depend on.

    Returns:
        samples x (N, G, C) with gradient (G = 1 for field kdp), field V of their shape, and the log of the
        raw field's size. The loss is ``field_loss(x, V, coordinate_weight(...))``.
    """
    paper = config.field == "kdp"
    n, g = len(anchors), 1 if paper else config.samples
    neighbours, log_weights = neighbourhood.index[anchors], neighbourhood.log_weights[anchors].to(data.device)
    chosen = condition[anchors]
    chosen = chosen + config.condition_noise * torch.randn(chosen.shape, generator=rng).to(data.device)
    noise = torch.randn(n, g, model.size.d_noise, generator=rng).to(data.device)
    x = model.generator.residual(noise, model.generator.encoder(chosen).unsqueeze(-2))
    fixed = x.detach()
    diagnostics: dict[str, Tensor] = {}
    if paper:
        keys = neighbourhood.keys[anchors].to(data.device)
        free = torch.ones(1, x.shape[-1], dtype=torch.bool, device=data.device)
        V = kdp_field(fixed, data[anchors][:, None], keys, keys, free, config.kdp, diagnostics)
    elif config.field == "joint":
        y = data[neighbours]
        temperatures = config.temperatures_at(step)
        V = joint_field(fixed, y, log_weights, temperatures, config.beta, diagnostics=diagnostics)
    elif config.field == "energy":
        V = energy_field(fixed, data[neighbours], log_weights.exp(), diagnostics)
    else:
        V = mean_field(fixed, data[neighbours], log_weights.exp(), diagnostics)
    return x, V, diagnostics["raw_magnitude"].item()


def coordinate_weight(model: KdpModel, action_weight: float, first_action_weight: float = 1.0) -> Tensor:
    """lambda_s = 1 and lambda_a in coordinates, (C,): the diagonal of the projected weight.

    The first action has ``first_action_weight`` times the weight of the others.
    """
    spec = model.spec
    grid = torch.ones(spec.horizon, spec.d_window, device=model.basis.device)
    grid[:, spec.d_state :] = action_weight
    grid[0, spec.d_state :] *= first_action_weight
    return (model.basis.square() @ grid[~model.clamped]).clone()


@torch.no_grad()
def move_average(average: nn.Module, own: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights towards the present ones; ``decay`` grows to its value over the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    present: list[Tensor] = [p.detach() for p in own.parameters()]
    mean: list[Tensor] = [p.detach() for p in average.parameters()]
    torch._foreach_lerp_(mean, present, 1.0 - decay)
