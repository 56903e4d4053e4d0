"""``wan2_1-formulas.md``: the cost formulas of Wan2.1, obtained by running its cost model on symbols."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sympy
from perfkit_wan2_1.architecture import Architecture, TextEncoder, Transformer, Vae
from perfkit_wan2_1.estimate import geometry_of
from perfkit_wan2_1.geometry import Geometry
from perfkit_wan2_1.metadata import read_architecture
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.text_encoder import text_encoder
from perfkit_wan2_1.transformer import transformer
from perfkit_wan2_1.vae import vae_decode

from perfkit_core.costtree import Cost, Node, add_costs
from perfkit_core.template_context import number

FIELDS = ("flops", "parameters", "bytes_read", "bytes_written")
"""What the page shows of each module; own values."""

EXAMPLE = ("t2v_14b", "native_720p")
"""Variant and workload whose numbers stand beside the symbols."""


def _symbols(names: str) -> list[Any]:
    """Return positive even integers, which widths and grids are; the cost model halves some of them."""
    return list(sympy.symbols(names, integer=True, positive=True, even=True))


B, S, L, T, H, W = _symbols("B S L T H W")
D, F, X, C, E, Q, N = _symbols("D F X C E Q N")
U, K, G, V, R = _symbols("U K G V R")
M, Z = _symbols("M Z")


@dataclass(frozen=True)
class Letter:
    """One symbol: what it stands for, and its value in the example."""

    symbol: Any
    meaning: str
    value: int


@dataclass(frozen=True)
class Network:
    """One network as formulas.

    Attributes:
        title: Heading.
        call: What one call is; all values of the section are for one call.
        letters: Every symbol.
        root: Cost tree with one repeated block.
        repeated: Name of the repeated block; empty without one.
        total: Inclusive costs of the whole network with all its blocks.
    """

    title: str
    call: str
    letters: tuple[Letter, ...]
    root: Node
    repeated: str
    total: Cost

    def evaluate(self) -> Cost:
        """Return the total with the example's values put in."""
        values = {letter.symbol: letter.value for letter in self.letters}
        return Cost(*(int(sympy.sympify(entry).subs(values)) for entry in self.total))


def networks() -> tuple[Network, ...]:
    """Return the three networks of the pipeline."""
    architecture = read_architecture(EXAMPLE[0], None)
    geometry = geometry_of(architecture, WanModelOptions(), WanWorkload(num_frames=81, height=720, width=1280))
    return (
        _text_encoder(architecture, geometry),
        _transformer(architecture, geometry),
        _vae(architecture, geometry),
    )


def _text_encoder(architecture: Architecture, geometry: Geometry) -> Network:
    def build(count: int) -> Node:
        config = TextEncoder(
            vocab_size=V,
            d_model=E,
            d_kv=K,
            num_heads=U,
            d_ff=G,
            num_layers=count,
            relative_attention_num_buckets=R,
            dense_act_fn="gelu_new",
        )
        return text_encoder(config, _one_call())

    config = architecture.text_encoder
    letters = (
        Letter(B, "`batch_size`", geometry.batch),
        Letter(L, "`text_len`", geometry.text_len),
        Letter(N, "blocks", config.num_layers),
        Letter(E, "width", config.d_model),
        Letter(U, "heads", config.num_heads),
        Letter(K, "width of one head", config.d_kv),
        Letter(G, "width of the feed-forward", config.d_ff),
        Letter(V, "vocabulary", config.vocab_size),
        Letter(R, "relative-position buckets", config.relative_attention_num_buckets),
    )
    call = "one batch of prompts; a guided run makes two"
    return Network("Text encoder", call, letters, build(1), "block", _with_blocks(build))


def _transformer(architecture: Architecture, geometry: Geometry) -> Network:
    def build(count: int) -> Node:
        config = Transformer(
            num_layers=count,
            num_attention_heads=D / X,
            attention_head_dim=X,
            ffn_dim=F,
            in_channels=C,
            out_channels=C,
            patch_size=(1, 2, 2),
            text_dim=E,
            freq_dim=Q,
            cross_attn_norm=True,
            rope_max_seq_len=1024,
        )
        return transformer(config, _one_call())

    config = architecture.transformer
    letters = (
        Letter(B, "`batch_size`", geometry.batch),
        Letter(S, "tokens: T x H/2 x W/2", geometry.tokens),
        Letter(L, "`text_len`", geometry.text_len),
        Letter(T, "latent frames: (`num_frames` - 1) // 4 + 1", geometry.latent_frames),
        Letter(H, "latent rows: `height` / 8", geometry.latent_height),
        Letter(W, "latent columns: `width` / 8", geometry.latent_width),
        Letter(N, "blocks", config.num_layers),
        Letter(D, "width", config.width),
        Letter(X, "width of one head", config.attention_head_dim),
        Letter(F, "width of the feed-forward", config.ffn_dim),
        Letter(C, "latent channels", config.in_channels),
        Letter(E, "width of the text embeddings", config.text_dim),
        Letter(Q, "width of the sinusoidal time embedding", config.freq_dim),
    )
    call = "one forward pass; a run makes `num_inference_steps` of them, guided twice as many"
    return Network("Diffusion transformer", call, letters, build(1), "blocks", _with_blocks(build))


def _vae(architecture: Architecture, geometry: Geometry) -> Network:
    config = architecture.vae
    symbolic = Vae(
        base_dim=M,
        decoder_base_dim=M,
        z_dim=Z,
        dim_mult=config.dim_mult,
        num_res_blocks=config.num_res_blocks,
        temperal_downsample=config.temperal_downsample,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
    )
    root = vae_decode(symbolic, _one_call())
    letters = (
        Letter(B, "`batch_size`", geometry.batch),
        Letter(T, "latent frames: (`num_frames` - 1) // 4 + 1", geometry.latent_frames),
        Letter(H, "latent rows: `height` / 8", geometry.latent_height),
        Letter(W, "latent columns: `width` / 8", geometry.latent_width),
        Letter(M, "width of the finest level; the others are 2M, 4M, 4M", config.base_dim),
        Letter(Z, "latent channels", config.z_dim),
    )
    call = "one batch of videos, decoded latent frame by latent frame; a run makes one"
    return Network("VAE decoder", call, letters, root, "", root.inclusive)


def _one_call() -> Geometry:
    """One step and one pass, so that values of the whole run are values of one call."""
    return Geometry(
        batch=B,
        latent_frames=T,
        latent_height=H,
        latent_width=W,
        grid=(T, H / 2, W / 2),
        tokens=S,
        text_len=L,
        steps=1,
        passes=1,
        decoded_frames=4 * T - 3,
        dtype="bfloat16",
        vae_dtype="float32",
    )


def _with_blocks(build: Callable[[int], Node]) -> Cost:
    """Costs with ``N`` equal blocks, from the costs with one and with two."""
    one, two = build(1).inclusive, build(2).inclusive
    return Cost(*(first + (N - 1) * (second - first) for first, second in zip(one, two, strict=True)))


INTRODUCTION = f"""# Formulas of the Wan2.1 model

Generated by running the cost model of `perfkit_wan2_1` on symbols instead of numbers. Values of a module are its own:
what runs in it outside the modules it calls. FLOPs count matrix products, convolutions and attention; a multiply-add
is 2. Bytes are the least an ideal kernel moves, with `dtype=bfloat16` and `vae_dtype=float32`. Modules with neither
FLOPs nor parameters (activations, residual additions) are left out of the tables; the last row has all of them.
The numbers beside the symbols are those of `{EXAMPLE[0]}` at `{EXAMPLE[1]}`.
"""


def page() -> str:
    """Return the whole page."""
    return INTRODUCTION + "".join(_section(network) for network in networks())


def _section(network: Network) -> str:
    lines = [
        f"\n## {network.title}\n",
        f"Per call: {network.call}.\n",
        "| symbol | meaning | example |",
        "|---|---|---:|",
    ]
    lines += [f"| `{letter.symbol}` | {letter.meaning} | {number(letter.value)} |" for letter in network.letters]
    lines += ["", "| module | FLOPs | parameters | bytes read | bytes written |", "|---|---|---|---|---|"]
    idle: list[Cost] = []
    for name, node in _rows(network.root, network.repeated):
        if node.calls == 0:
            idle.append(node.own)
        elif node.own.flops != 0 or node.own.parameters != 0:
            lines.append(f"| `{name}` | {_cells(node.own)} |")
    if any(cost.parameters != 0 for cost in idle):
        lines.append(f"| never called: the encoder half | {_cells(add_costs(idle))} |")
    lines.append(f"| **all modules** | {_cells(network.total)} |")
    example = (number(getattr(network.evaluate(), field)) for field in FIELDS)
    lines.append(f"| **example** | {' | '.join(example)} |")
    return "\n".join(lines) + "\n"


def _rows(root: Node, repeated: str) -> Iterable[tuple[str, Node]]:
    """Yield every module; neighbours that are one and the same node, as ``resnets.1`` and ``.2``, are one row."""

    def walk(path: str, node: Node) -> Iterable[tuple[str, Node]]:
        yield path, node
        groups: dict[tuple[str, int], list[str]] = {}
        nodes: dict[int, Node] = {}
        for segment, child in node.children:
            groups.setdefault((re.sub(r"\.\d+$", ".", segment), id(child)), []).append(segment)
            nodes[id(child)] = child
        for (stem, key), members in groups.items():
            indices = (
                "*" if stem == f"{repeated}." else "[" + ",".join(name.removeprefix(stem) for name in members) + "]"
            )
            name = members[0] if len(members) == 1 and indices != "*" else stem + indices
            yield from walk(f"{path}/{name}" if path else name, nodes[key])

    return ((name or "(itself)", node) for name, node in walk("", root))


def _cells(cost: Cost) -> str:
    return " | ".join(f"`{_text(getattr(cost, field))}`" for field in FIELDS)


def _text(expression: Any) -> str:
    return str(sympy.factor_terms(sympy.expand(expression))).replace("**", "^")
