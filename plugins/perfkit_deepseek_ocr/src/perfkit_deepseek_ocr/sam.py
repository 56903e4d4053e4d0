"""Cost tree of the SAM image encoder with its downsampling neck (attention by SDPA)."""

from __future__ import annotations

from perfkit_core import ops
from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import Op, Tensor
from perfkit_deepseek_ocr.architecture import Sam
from perfkit_deepseek_ocr.geometry import View
from perfkit_deepseek_ocr.shapes import Views

FP32 = "float32"
CHANNELS = 3


def sam(config: Sam, views: Views) -> Node:
    """Build the tree below ``prefill/vision/sam``."""
    windowed, whole = _layer(config, views, config.window_size), _layer(config, views, 0)
    layers = [
        (f"layers.{index}", whole if index in config.global_layers else windowed) for index in range(config.layers)
    ]
    projection = views.node(
        "conv",
        "patch embedding",
        lambda view: [
            ops.conv(
                view.images,
                CHANNELS,
                config.width,
                (config.patch_size, config.patch_size),
                (view.size, view.size),
                (view.side, view.side),
                views.dtype,
            )
        ],
    )
    return views.node(
        "encoder",
        "position embedding",
        lambda view: _positions(config, view, views),
        parameters=[Parameter(config.table_side**2 * config.width, views.dtype)],
        children=[
            ("patch_embed", views.node("block", "container", children=[("projection", projection)])),
            *layers,
            ("neck", _neck(config, views)),
            ("proj", _downsampling(config, views)),
        ],
    )


def _positions(config: Sam, view: View, views: Views) -> list[Op | None]:
    """Resize the position table to the view's grid, in float32, and add it."""
    hidden = Tensor(view.patches * config.width, views.dtype)
    table = Tensor(view.side**2 * config.width, views.dtype)
    resized = ops.resample(config.table_side**2 * config.width, table.elements, FP32)
    return [
        None if view.side == config.table_side else resized,
        ops.elementwise("add", hidden, hidden, table),
    ]


def _layer(config: Sam, views: Views, window: int) -> Node:
    """One transformer layer; ``window`` is 0 for attention over the whole grid."""
    norm = views.node(
        "norm",
        "norm",
        lambda view: [ops.layer_norm(view.patches, config.width, views.dtype, affine=True)],
    )

    def residual(view: View) -> list[Op]:
        hidden = Tensor(view.patches * config.width, views.dtype)
        return [ops.elementwise("add", hidden, hidden, hidden, calls=2)]

    return views.node(
        "block",
        "residual",
        residual,
        children=[
            ("layer_norm1", norm),
            ("attn", _attention(config, views, window)),
            ("layer_norm2", norm),
            ("mlp", _feed_forward(config, views)),
        ],
    )


def _attended(view: View, window: int) -> tuple[int, int]:
    """Return how many squares of patches attend within themselves, and the side of each.

    Windows cover the grid padded to a multiple of their side; the padding is computed like any patch.
    """
    if not window:
        return view.images, view.side
    per_axis = -(-view.side // window)
    return view.images * per_axis**2, window


def _attention(config: Sam, views: Views, window: int) -> Node:
    def linear(out_features: int) -> Node:
        def project(view: View) -> list[Op]:
            squares, side = _attended(view, window)
            return [ops.linear(squares * side**2, config.width, out_features, views.dtype)]

        return views.node("linear", "attention projection", project)

    def core(view: View) -> list[Op]:
        squares, side = _attended(view, window)
        count = side**2
        attention = ops.attention(
            squares,
            config.heads,
            count,
            count,
            config.head_width,
            views.dtype,
            bias_elements=squares * config.heads * count**2,
        )
        positions = _relative_positions(config, views, window or config.table_side, squares, side)
        return [attention, *ops.of_category("relative positions", positions)]

    table = (2 * (window or config.table_side) - 1) * config.head_width
    return views.node(
        "attention",
        "window attention core" if window else "global attention core",
        core,
        parameters=[Parameter(2 * table, views.dtype)],
        children=[("qkv", linear(3 * config.width)), ("proj", linear(config.width))],
    )


def _relative_positions(config: Sam, views: Views, table_side: int, squares: int, side: int) -> list[Op]:
    """The decomposed relative positions, per axis: resize the table, look it up, multiply it with the queries.

    The two products of each query with the table, one per axis, are then added to one bias per score.
    """
    dtype, width = views.dtype, config.head_width
    rows = squares * config.heads * side
    coordinates, offsets = Tensor(side, FP32), Tensor(side**2, FP32)
    product = Tensor(rows * side**2, dtype)
    return [
        ops.resample((2 * table_side - 1) * width, (2 * side - 1) * width, dtype, calls=2),
        ops.elementwise("mul", coordinates, Tensor(side, "int64"), calls=4),
        ops.elementwise("sub", offsets, coordinates, coordinates, calls=2),
        ops.elementwise("add", offsets, offsets, calls=2),
        ops.matmul(side, rows, side, width, dtype, calls=2),
        ops.elementwise("add", Tensor(rows * side**3, dtype), product, product),
    ]


def _feed_forward(config: Sam, views: Views) -> Node:
    def linear(in_features: int, out_features: int) -> Node:
        return views.node(
            "linear",
            "feed-forward",
            lambda view: [ops.linear(view.patches, in_features, out_features, views.dtype)],
        )

    def gelu(view: View) -> list[Op]:
        inner = Tensor(view.patches * config.mlp_width, views.dtype)
        return [ops.elementwise("gelu", inner, inner)]

    return views.node(
        "block",
        "container",
        children=[
            ("lin1", linear(config.width, config.mlp_width)),
            ("act", views.node("activation", "activation", gelu)),
            ("lin2", linear(config.mlp_width, config.width)),
        ],
    )


def _neck(config: Sam, views: Views) -> Node:
    channels = config.neck_channels
    norm = views.node(
        "norm",
        "norm",
        lambda view: [ops.layer_norm(view.patches, channels, views.dtype, affine=True)],
    )
    return views.node(
        "block",
        "container",
        children=[
            ("conv1", _conv(views, config.width, channels, kernel=1)),
            ("layer_norm1", norm),
            ("conv2", _conv(views, channels, channels, kernel=3)),
            ("layer_norm2", norm),
        ],
    )


def _downsampling(config: Sam, views: Views) -> Node:
    first, second = config.downsample_channels
    return views.node(
        "block",
        "container",
        children=[
            ("conv1", _conv(views, config.neck_channels, first, kernel=3, halvings=1)),
            ("conv2", _conv(views, first, second, kernel=3, halvings=2)),
        ],
    )


def _conv(views: Views, in_channels: int, out_channels: int, *, kernel: int, halvings: int = 0) -> Node:
    """A convolution without bias; the ``halvings``-th of those that halve the grid, rounding up."""

    def convolve(view: View) -> list[Op]:
        before = view.side if halvings < 2 else _halved(view.side)
        after = _halved(before) if halvings else before
        return [
            ops.conv(
                view.images,
                in_channels,
                out_channels,
                (kernel, kernel),
                (before, before),
                (after, after),
                views.dtype,
                bias=False,
            )
        ]

    return views.node("conv", "neck", convolve)


def _halved(side: int) -> int:
    return (side + 1) // 2
