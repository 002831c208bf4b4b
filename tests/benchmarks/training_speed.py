"""How fast training is, where its time goes, and how much of the machine it uses.

    python tests/benchmarks/training_speed.py [--repeats 3] [--steps 3] [--only cpu|cuda]
        [--json PATH] [--quick-run]

Trains on the sample clips, the way the project did when it began (baseline.py) and as it does now,
in turns, each row in a process of its own, and prints Markdown tables of medians. Floating-point
operations are counted by PyTorch (forward and backward; a multiplication with an addition is two)
and compared with the best rate of a large matrix product. `--quick-run` only shows that all runs.
"""

import argparse
import collections
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from baseline import BaselineTrainer, describe_machine, sample_faces
from torch.utils.flop_counter import FlopCounterMode

import deepfake_utils as du
from deepfake_utils.devices import pick_dtype
from deepfake_utils.losses import face_loss

ROW = {"size": 64, "light": False, "workers": 0, "compile": "off"}  # what most rows have


def apart(function, *args):
    """Call a function in a process of its own; what breaks there comes back as an exception."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def watch(spent, part, function):
    """The same function, which adds the milliseconds it takes to `spent[part]`."""

    def watched(*args, **kwargs):
        began = time.perf_counter()
        result = function(*args, **kwargs)
        spent[part] += 1000.0 * (time.perf_counter() - began)
        return result

    return watched


def build_baseline(folder, row, device, spent):
    trainer = BaselineTrainer(folder, row["batch"], device=device)
    trainer.next_batch = watch(spent, "input", trainer.next_batch)
    return trainer, trainer.step, lambda: [trainer.next_batch(name) for name in "AB"]


def build_ours(folder, row, device, spent):
    """A trainer, and functions that make a step, and the input of one alone."""
    light = du.dataset.photometric_augment() if row["light"] else None
    sets = [du.FaceDataset(folder / person, row["size"], 0.75, light) for person in "ab"]

    def sources():
        return [du.endless_batches(s, row["batch"], None, device, row["workers"]) for s in sets]

    alone, model = sources(), du.FaceSwapAutoencoder(du.preset(row["name"], row["size"]))
    kind = type(alone[0])
    kind.__next__ = watch(spent, "input", kind.__next__)  # in this process only
    settings = replace(du.recipe(row["name"]), compile=row["compile"])
    trainer = du.Trainer(model, *sources(), settings, device)
    return trainer, trainer.train_step, lambda: [next(b) for b in alone]


def timed(function, times, device="cpu", warm=1):
    """Milliseconds a call, after `warm` calls that do not count."""
    for _ in range(warm):
        function()
    getattr(torch, device).synchronize()
    began = time.perf_counter()
    for _ in range(times):
        function()
    getattr(torch, device).synchronize()
    return 1000.0 * (time.perf_counter() - began) / times


def face_losses(target, weight=None):
    """The loss of both people, forward and backward, on random pictures."""
    drawn = torch.rand_like(target).requires_grad_()
    for _ in "AB":
        loss = F.l1_loss(drawn, target) if weight is None else face_loss(drawn, target, weight)
        loss.backward()


def measure(folder, row, steps, device="cpu"):
    """Train for some steps; returns numbers, times in milliseconds a step."""
    spent = collections.Counter()
    ours = row["name"] != "baseline"
    build = build_ours if ours else build_baseline
    trainer, train_step, draw = build(folder, row, device, spent)
    for optimizer in [trainer.optimizer] if ours else trainer.optimizers.values():
        optimizer.step = watch(spent, "optimiser", optimizer.step)

    def step():
        torch.compiler.cudagraph_mark_step_begin()
        train_step()

    for _ in range(1 if row["compile"] == "off" else 5):  # set-up, compilation, recording of graphs
        step()
    spent.clear()
    result = {"step_ms": timed(step, steps, device, warm=0)}
    result |= {f"{part}_ms": spent[part] / steps for part in ("input", "optimiser")}
    result["images_s"] = 2000.0 * row["batch"] / result["step_ms"]
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # as on Linux
    if device == "cuda":
        result["peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
    if ours and trainer.gradients.pieces > 1:
        raise MemoryError(f"runs only in {trainer.gradients.pieces} pieces")
    if row["compile"] == "off":  # compiled code cannot be counted
        _, *batch = draw()[0][: 3 if ours else 2]  # target, and weight if there is one
        result["alone_ms"] = timed(draw, 30, device)  # more than workers make ahead
        result["loss_ms"] = timed(lambda: face_losses(*batch), 10, device)
        with FlopCounterMode(display=False) as counter:
            train_step()
        result["gflop"] = counter.get_total_flops() / 1e9
    return result


def matmul_peak(device, dtype):
    """Best rate of a square matrix product, in GFLOP a second."""
    side = 8192 if device == "cuda" else 2048
    a = torch.rand(side, side, device=device).to(dtype)
    return 2.0 * side**3 / min(timed(lambda: a @ a, 5, device) for _ in range(5)) / 1e6


def machine(device):
    """Say what is measured on; returns the peaks by type in GFLOP a second, and the type used."""
    dtype = pick_dtype(torch.device(device))
    # Only types that the machine computes in natively: others would take minutes here.
    peaks = {str(each)[6:]: apart(matmul_peak, device, each) for each in {torch.float32, dtype}}
    rates = ", ".join(f"{rate:.0f} GFLOP/s in {each}" for each, rate in sorted(peaks.items()))
    print(f"\n{describe_machine(device)}; training in {str(dtype)[6:]}; matmul: {rates}")
    return peaks, str(dtype)[6:]


def table(titles, numbers, rows):
    """A Markdown table; `numbers` says how those of a row are written."""
    print(f"\n| run | {titles} |\n|---|" + "---|" * (titles.count("|") + 1))
    for row in rows:
        name = f"{row['name']} {row['size']} px, {row['batch']} + {row['batch']}"
        name += f", light, {row['workers']} workers" if row["light"] else ""
        name += f", compiled ({row['compile']})" if row["compile"] != "off" else ""
        print(f"| {name} | {row.get('error') or numbers.format(**row)} |", flush=True)


def cpu_tables(folder, args, peaks, dtype):
    """The CPU part: runs in turns, medians of each number."""
    batch = 4 if args.quick_run else 32
    rows = [ROW | {"name": name, "batch": batch, "more": 1} for name in ("baseline", "original")]
    batch = min(batch, du.recipe("quick").batch_size)
    quick = ROW | {"name": "quick", "batch": batch, "more": 20}
    rows += [quick, *(quick | {"light": True, "workers": workers} for workers in (0, 1, 2))]
    runs = [[] for _ in rows]
    for _ in range(args.repeats):
        for row, results in zip(rows, runs, strict=True):
            results.append(apart(measure, folder, row, args.steps * row["more"]))
    for row, results in zip(rows, runs, strict=True):
        row |= {key: statistics.median(run[key] for run in results) for key in results[0]}
        row["ratio"] = row["images_s"] / rows[0]["images_s"]
        peak = peaks["float32" if row["name"] == "baseline" else dtype]
        row["share"] = row["gflop"] / row["step_ms"] * 1000.0 / peak
        for part in ("input", "alone", "loss", "optimiser"):
            row[part] = row[f"{part}_ms"] / row["step_ms"]
    table(
        "images/s | x baseline | ms a step | GFLOP a step | share of peak | peak MiB, no workers",
        "{images_s:.1f} | {ratio:.1f} | {step_ms:.1f} | {gflop:.1f} | {share:.0%} | {peak_mb:.0f}",
        rows,
    )
    table(
        "input in the step, ms (share) | input alone | loss alone | optimiser in the step",
        "{input_ms:.1f} ({input:.1%}) | {alone_ms:.1f} ({alone:.1%}) | "
        "{loss_ms:.1f} ({loss:.1%}) | {optimiser_ms:.1f} ({optimiser:.1%})",
        rows,
    )
    return rows


def gpu_row(folder, row, steps):
    """`measure` on the GPU; what fails (memory, compiler) is said in the row."""
    try:
        return row | apart(measure, folder, row, steps, "cuda")
    except (MemoryError, RuntimeError) as error:  # the latter also if the process was killed
        return row | {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0][:80]}"}


def gpu_rows(folder, size, steps):
    """`original` at one size: more faces a step until that gains under 5 %, then compiled."""
    row = ROW | {"name": "original", "batch": 32, "size": size}
    rows = [gpu_row(folder, row, steps)]
    best = rows[0]
    while "error" not in best and best["batch"] < 1024:
        rows.append(gpu_row(folder, row | {"batch": 2 * best["batch"]}, steps))
        if rows[-1].get("images_s", 0.0) < 1.05 * best["images_s"]:
            break
        best = rows[-1]
    for batch in sorted({32, best["batch"]}):
        for mode in ("default", "reduce-overhead"):  # the latter replays CUDA graphs
            rows.append(gpu_row(folder, row | {"batch": batch, "compile": mode}, steps))
    rows.append(gpu_row(folder, row | {"batch": 16}, steps))  # for cards of 16 GB
    known = [each["gflop"] / each["batch"] for each in rows if "gflop" in each]
    for each in rows:  # compiled or not, the same for each face
        each["gflop"] = known[0] * each["batch"] if known else float("nan")
    return rows


def gpu_tables(folder, args, peaks, dtype):
    """The GPU part, baseline first; it computes in TF32, so its share means little."""
    rows = [gpu_row(folder, ROW | {"name": "baseline", "batch": 32}, 10 * args.steps)]
    for size in (64, 128, 256):
        rows += gpu_rows(folder, size, 10 * args.steps)
    for row in rows:
        row["share"] = row.get("gflop", 0.0) / row.get("step_ms", 1.0) * 1000.0 / peaks[dtype]
    titles = "images/s | ms a step | share of peak | peak MiB (a T4 has 15360)"
    table(titles, "{images_s:.0f} | {step_ms:.1f} | {share:.0%} | {peak_mb:.0f}", rows)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each row on the CPU")
    parser.add_argument("--steps", type=int, default=3, help="timed steps (quick: 20 times that)")
    parser.add_argument("--only", choices=["cpu", "cuda"], help="leave the other part out")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    parser.add_argument("--quick-run", action="store_true", help="tiny, to see that it runs")
    args = parser.parse_args()
    if args.quick_run:
        args.repeats = args.steps = 1
    found, parts = {}, {"cpu": cpu_tables, "cuda": gpu_tables}
    with tempfile.TemporaryDirectory() as name:
        sample_faces(Path(name), stride=50 if args.quick_run else 5)
        for device, part in parts.items():
            if args.only in (None, device) and getattr(torch, device).is_available():
                found[device] = part(Path(name), args, *machine(device))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
