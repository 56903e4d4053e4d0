"""Named Wan2.1 workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfkit_core.specs import WorkloadSpec
from perfkit_wan2_1.options import WanWorkload

if TYPE_CHECKING:
    from perfkit_core.workload import BuildContext, Workload

MODEL = "wan2_1"

_TABLE: tuple[tuple[str, str, dict[str, object]], ...] = (
    (
        "ci_tiny",
        "4 frames 256x256, text 64, 1 step, unguided: the smallest real shape",
        {"num_frames": 4, "height": 256, "width": 256, "text_len": 64, "num_inference_steps": 1, "guidance": False},
    ),
    (
        "p512",
        "16 frames 512x512, text 512, 50 steps, unguided",
        {"num_frames": 16, "height": 512, "width": 512, "guidance": False},
    ),
    (
        "p720",
        "16 frames 720x1280, text 512, 50 steps, unguided",
        {"num_frames": 16, "height": 720, "width": 1280, "guidance": False},
    ),
    ("native_480p", "81 frames 480x832, text 512, 50 guided steps", {"num_frames": 81, "height": 480, "width": 832}),
    ("native_720p", "81 frames 720x1280, text 512, 50 guided steps", {"num_frames": 81, "height": 720, "width": 1280}),
)


def workloads() -> list[WorkloadSpec]:
    """Return the named workloads of the Wan2.1 model."""
    return [
        WorkloadSpec(name=name, model=MODEL, summary=summary, options=WanWorkload, values=values, build=_build)
        for name, summary, values in _TABLE
    ]


def _build(context: BuildContext) -> Workload:
    from perfkit_wan2_1.pipeline import TextToVideo

    return TextToVideo(context)
