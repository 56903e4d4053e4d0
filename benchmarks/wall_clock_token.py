"""On a GPU: the time per output token that ``wall_clock`` reports, against a bare decoding loop with CUDA events.

Both sides decode with the full-size DeepSeek-OCR network in one process, interleaved. Decoding one token takes
hundreds of launches and little else, so whatever a measurement costs the host shows here first. The bare side
knows nothing of perfkit: two events around the calls that make one token. perfkit's side is the whole workload
under the recorder of the ``wall_clock`` backend, as its measured runs are made.

    python benchmarks/wall_clock_token.py
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from perfkit_deepseek_ocr.modules import build_modules
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.reading import PageReading
from timing import ratio, row
from transformers import DynamicCache

from perfkit_core.instruments.timing import TimingRecorder
from perfkit_core.regions import Regions
from perfkit_core.schema.session import RunSample
from perfkit_core.specs import ModelRequest
from perfkit_core.workload import BuildContext

DEVICE, TOKENS, ROUNDS = "cuda:0", 33, 15


def main() -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        raise SystemExit("this benchmark needs a GPU that torch can use")
    request = ModelRequest(variant="default", options=OcrModelOptions(), device=DEVICE)
    components = build_modules(request)
    options = OcrWorkload()
    context = BuildContext(request=request, options=options, components=components, device=DEVICE, seed=0)
    workload = PageReading(context)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        workload.prepare()
        asked = next(entry for entry in workload.inputs() if entry["name"] == "prompt")
        prompt = asked["text_tokens"] + asked["image_tokens"][0]
        samples = Path(folder) / "samples.jsonl"
        regions = Regions((TimingRecorder(DEVICE, samples),))

        def bare() -> float:
            return bare_decoding(components["model"], prompt)

        def recorded() -> float:
            regions.begin(0, warmup=False, detailed=False)
            workload.step(regions)
            regions.end()
            run = RunSample.model_validate_json(samples.read_text(encoding="utf-8").splitlines()[-1])
            found = [one.device_ns for one in run.regions if one.path == "decode" and one.index]
            return statistics.fmean(time for time in found if time is not None) / 1e6

        for side in (bare, recorded):
            side()
        rounds = [(bare(), recorded()) for _ in range(ROUNDS)]
    plain, ours = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(f"DeepSeek-OCR decoding on {torch.cuda.get_device_name()}, {ROUNDS} rounds of {TOKENS - 1} tokens")
    row("bare loop with CUDA events, per token", plain / 1e3)
    row("region decode of wall_clock", ours / 1e3)
    ratio("wall_clock / bare loop", ours, plain, "1 +- 0.01")


def bare_decoding(model: Any, prompt: int) -> float:
    """Return milliseconds per token, the first one left out."""
    language, head = model.model.language_model, model.lm_head
    cache = DynamicCache(config=language.config)
    positions = torch.arange(prompt + TOKENS, device=DEVICE)
    tokens = torch.zeros(1, prompt + TOKENS + 1, dtype=torch.long, device=DEVICE)
    start = torch.randn(1, prompt, language.config.hidden_size, dtype=torch.bfloat16, device=DEVICE)
    settings = {"attention_mask": {"full_attention": None}, "past_key_values": cache, "use_cache": True}
    hidden = language(inputs_embeds=start, position_ids=positions[None, :prompt], **settings).last_hidden_state
    tokens[:, prompt] = head(hidden[:, -1:])[:, -1].argmax(-1)
    torch.cuda.synchronize()
    times = []
    for end in range(prompt + 1, prompt + TOKENS + 1):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        last, position = tokens[:, end - 1 : end], positions[end - 1 : end]
        embedded = language.embed_tokens(last)
        hidden = language(inputs_embeds=embedded, position_ids=position[None], **settings).last_hidden_state
        tokens[:, end] = head(hidden)[:, -1].argmax(-1)
        after.record()
        times.append((before, after))
    torch.cuda.synchronize()
    return statistics.fmean(before.elapsed_time(after) for before, after in times[1:])


if __name__ == "__main__":
    main()
