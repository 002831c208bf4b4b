"""How well a network draws faces that were held out of its training."""

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
    network: FaceSwapAutoencoder,
    identity: Identity,
    held: Batch,
    there: Callable[[Batch], Batch],
) -> float:
    """Draw a person's faces as that person, and as the other one and back.

    The second tells how unlike faces usually come back, which the network keeps
    (`FaceSwapAutoencoder.usual_error`).

    Args:
        network: the network.
        identity: whose faces they are.
        held: the faces, as `FaceDataset.still` gives them.
        there: moves a batch to the network's device.

    Returns:
        Sum over the faces of the PSNR inside them, in dB.

    Raises:
        ValueError: if the faces come without masks.
    """
    total, off = 0.0, []
    (other,) = {*IDENTITIES} - {identity}
    for part in cut_batch(held, -(-len(held.warped) // PIECE)):
        batch = there(part)
        if batch.mask is None:
            raise ValueError(f"expected faces of {identity} with a mask; use FaceDataset.still")
        points = batch.points if network.config.landmarks else None
        drawn = network(batch.warped, identity, points)[:, :3]
        swapped = network(batch.warped, other, points)[:, :3].clamp(0.0, 1.0)
        back = network(swapped, identity, points)[:, :3]
        total += len(drawn) * masked_psnr(drawn, batch.target, batch.mask)
        off.append(usual_error(batch.target, back, batch.mask[:, 0]))
    network.usual_error[IDENTITIES.index(identity)] = torch.cat(off).nanmedian()
    return total
