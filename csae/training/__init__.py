"""Training: configuration, machine, loop and the state of a run.

Taught in the chapter on full training.
"""

from csae.training.config import OPTIMIZERS, SCHEDULES, TrainingConfig
from csae.training.loop import train
from csae.training.machine import Machine, launch, launched_processes
from csae.training.optimisation import make_optimizer, make_schedule
from csae.training.order import steps_per_epoch, visiting_order
from csae.training.range_test import RangeTest, range_test
from csae.training.state import Metrics, TrainingState
from csae.training.watching import TIMINGS, summary

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "TIMINGS",
    "Machine",
    "Metrics",
    "RangeTest",
    "TrainingConfig",
    "TrainingState",
    "launch",
    "launched_processes",
    "make_optimizer",
    "make_schedule",
    "range_test",
    "steps_per_epoch",
    "summary",
    "train",
    "visiting_order",
]
