"""How well a network draws people as themselves: on faces held out of training."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..autoencoder import IDENTITIES, FaceSwapAutoencoder, Identity
from ..compositing.occlusion import usual_error
from ..dataset import Batch
from ..losses import masked_psnr
from .gradients import cut_batch

PIECE = 32  # faces that are drawn at once


@torch.inference_mode()
def redraw(
    model: FaceSwapAutoencoder,
    held: Batch,
    identity: Identity,
    there: Callable[[Batch], Batch] = lambda batch: batch,
) -> float:
    """Draw one person's faces as that person; `model.usual_error` is set by the way.

    That is how unlike faces usually come back from being swapped and swapped back; see `occlusion`.

    Args:
        model: the network.
        held: faces that were not trained on, as `FaceDataset.still` gives them.
        identity: whose they are.
        there: moves a batch to the network's device.

    Returns:
        Mean PSNR inside the faces, in dB.

    Raises:
        ValueError: if the faces come without masks.
    """
    total, off = 0.0, []
    (other,) = {*IDENTITIES} - {identity}
    for part in cut_batch(held, -(-len(held.warped) // PIECE)):
        batch = there(part)
        if batch.mask is None:
            raise ValueError(f"expected faces of {identity} with a mask; use FaceDataset.still")
        points = batch.points if model.config.landmarks else None
        drawn = model(batch.warped, identity, points)[:, :3]
        swapped = model(batch.warped, other, points)[:, :3].clamp(0.0, 1.0)
        back = model(swapped, identity, points)[:, :3]
        total += len(drawn) * masked_psnr(drawn, batch.target, batch.mask)
        off.append(usual_error(batch.target, back, batch.mask[:, 0]))
    model.usual_error[identity] = float(torch.cat(off).nanmedian())
    return total / len(held.warped)
