"""Training: how long and how strongly (`recipe`), one step (`gradients`), the loop (`trainer`).

trainer = start_or_resume(store, model, batches_a, batches_b, recipe("quick"))
for result in trainer.run():
...
"""

from .recipe import TrainConfig, plateaued, recipe
from .trainer import StepResult, Trainer, start_or_resume

__all__ = ["StepResult", "TrainConfig", "Trainer", "plateaued", "recipe", "start_or_resume"]
