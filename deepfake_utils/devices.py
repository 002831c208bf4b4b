"""Where the network runs, and in which precision."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch

Model = TypeVar("Model", bound=torch.nn.Module)
Precision = Literal["auto", "float32", "bfloat16", "float16"]


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; without one the GPU if there is one, else the CPU.

    Raises:
        ValueError: if a GPU is asked for and there is none.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"expected a device such as 'cpu' or 'cuda', got {device!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"expected a GPU for device {str(device)!r}, found none; use device='cpu', or in Colab "
            "choose Runtime > Change runtime type > GPU"
        )
    return device


def place(model: Model, device: torch.device) -> Model:
    """Move a network to a device, in the memory layout in which convolutions run fastest there."""
    return model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def pick_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """The floating-point type that autocast uses for the network's heavy parts.

    "auto" is bfloat16 where the device computes in it natively, float16 on older GPUs (such as
    Colab's T4), and float32 elsewhere.

    Raises:
        ValueError: if the name is unknown, or it is float16 on something other than a GPU.
    """
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision != "auto":
        if precision not in named:
            raise ValueError(f"precision: expected auto or {sorted(named)}, got {precision!r}")
        if precision == "float16" and device.type != "cuda":
            raise ValueError(f"precision: expected float16 on a GPU only, got {device.type}")
        return named[precision]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bfloat16() -> bool:
    """True if the processor multiplies bfloat16 itself; otherwise it would only be slower."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def is_out_of_memory(error: RuntimeError) -> bool:
    """True if an operation failed for want of memory, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
