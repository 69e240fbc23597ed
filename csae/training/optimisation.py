"""The optimiser and the schedule of a configuration."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, StepLR

from csae import checks
from csae.muon import Muon
from csae.training.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> Optimizer:
    """Return the optimiser of a configuration for a model's parameters."""
    checks.instance("model", model, nn.Module)
    checks.instance("config", config, TrainingConfig)
    settings: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    # One kernel for the whole update instead of several for each parameter.
    settings["fused"] = next(model.parameters()).device.type in ("cpu", "cuda")
    if config.optimizer == "muon":
        return Muon(model, **settings)
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, **settings)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(model.parameters(), **settings)


def make_schedule(optimizer: Optimizer, config: TrainingConfig, steps: int) -> LRScheduler:
    """Return the schedule of a configuration; it moves with each of an epoch's ``steps``.

    PyTorch's one-cycle moves the momentum, too, or Adam's first beta: down while the rate goes up.

    Equations: one-cycle.
    """
    checks.instance("optimizer", optimizer, Optimizer)
    checks.instance("config", config, TrainingConfig)
    steps = checks.integer("steps", steps, 1)
    total = config.epochs * steps
    if config.schedule == "one-cycle":
        return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=total)
    if config.schedule == "step":
        return StepLR(optimizer, max(1, round(config.epochs / 4)) * steps, gamma=0.1)
    return LambdaLR(optimizer, lambda _: 1.0)
