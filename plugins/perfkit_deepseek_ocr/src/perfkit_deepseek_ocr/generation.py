"""Pieces of greedy decoding: the prompt's image part, caches, masks and tokens that may not come next."""

from __future__ import annotations

import copy
from typing import Any

from perfkit_deepseek_ocr.geometry import Grid


def with_separators(whole: Any, tiles: Any | None, grid: Grid | None, newline: Any, separator: Any) -> Any:
    """Return the features of one page in the order of its prompt.

    Args:
        whole: Features of the global view, queries x width.
        tiles: Features of its tiles, tiles x queries x width.
        grid: Columns and rows of tiles.
        newline: What ends every row of features.
        separator: What ends the image.
    """
    import torch

    parts = []
    if tiles is not None and grid is not None:
        columns, rows = grid
        side = round(tiles.shape[1] ** 0.5)
        square = tiles.reshape(rows, columns, side, side, -1).transpose(1, 2)
        parts.append(_rows(square.reshape(rows * side, columns * side, -1), newline))
    side = round(whole.shape[0] ** 0.5)
    parts.append(_rows(whole.reshape(side, side, -1), newline))
    return torch.cat([*parts, separator[None]])


def _rows(features: Any, newline: Any) -> Any:
    import torch

    ends = newline.expand(features.shape[0], 1, -1)
    return torch.cat([features, ends], dim=1).flatten(0, 1)


def causal_mask(length: int, attention: str, dtype: Any, device: str) -> Any:
    """Return the mask of a prompt; None where the kernel takes causality as a flag."""
    import torch

    if attention == "sdpa":
        return None
    return _as_bias(torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None], dtype)


def length_mask(keys: Any, position: Any, attention: str, dtype: Any) -> Any:
    """Return the mask of one token at ``position`` over a cache of fixed length, whose rest is unused."""
    allowed = (keys <= position)[None, None, None]
    return allowed if attention == "sdpa" else _as_bias(allowed, dtype)


def _as_bias(allowed: Any, dtype: Any) -> Any:
    import torch

    nothing = torch.zeros((), dtype=dtype, device=allowed.device)
    return torch.where(allowed, nothing, torch.finfo(dtype).min)


def refill(fixed: Any, cache: Any) -> None:
    """Copy what ``cache`` holds into ``fixed``, a cache of fixed length, in place of its content."""
    fixed.reset()
    for index, layer in enumerate(cache.layers):
        fixed.update(layer.keys, layer.values, index)


def resize(cache: Any, held: int, length: int) -> None:
    """Let ``cache``, which holds ``held`` tokens, hold ``length``: cut off, or with the same content again.

    What a step costs depends on how much is cached, not on what.
    """
    import torch

    if length == held:
        return
    for layer in cache.layers:
        index = torch.arange(length, device=layer.keys.device) % held
        keys, values = layer.keys.index_select(2, index), layer.values.index_select(2, index)
        layer.reset()
        layer.update(keys, values)


def twin(module: Any) -> Any:
    """Return a copy of ``module`` with the same parameters and buffers, without its hooks."""
    shared = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    return copy.deepcopy(module, shared)


def forbid_repeats(scores: Any, tokens: Any, length: int) -> Any:
    """Return ``scores`` without the tokens that would repeat a sequence of ``length`` tokens.

    Nothing is read from the device, so that the host need not wait for it.

    Args:
        scores: batch x vocabulary.
        tokens: All tokens so far, batch x positions.
        length: Tokens of a sequence that must not come twice; 0: any may.
    """
    import torch

    if not length or tokens.shape[1] < length:
        return scores
    windows = tokens.unfold(1, length, 1)
    end = tokens[:, tokens.shape[1] - length + 1 :]
    repeats = (windows[:, :, :-1] == end[:, None]).all(-1)
    banned = torch.zeros_like(scores, dtype=torch.int32)
    banned.scatter_reduce_(1, windows[:, :, -1], repeats.int(), "amax")
    return scores.masked_fill(banned.bool(), float("-inf"))
