"""Architecture of the DeepSeek-OCR networks, as the numbers that the cost formulas need."""

from __future__ import annotations

from dataclasses import dataclass

MLP_RATIO = 4
"""Width of the vision encoders' feed-forwards over their hidden width; fixed in the model's own code."""

SAM_PATCH = 16
SAM_WINDOW = 14
SAM_NECK_CHANNELS = 256
"""Sizes of the SAM encoder that the model's own code fixes, so that its ``config.json`` has no field for them."""

IMAGE_TOKEN_ID = 128815
"""Token that stands where the image features go."""


@dataclass(frozen=True, kw_only=True)
class Sam:
    """SAM image encoder with its downsampling neck.

    Attributes:
        layers: Transformer layers.
        width: Width of the hidden states.
        heads: Attention heads.
        mlp_width: Width of the feed-forward.
        image_size: Side, in pixels, that the position tables were made for.
        patch_size: Side of one patch, in pixels.
        window_size: Side of one attention window, in patches; grids are padded to a multiple of it.
        global_layers: Layers that attend over the whole grid instead.
        neck_channels: Channels after the neck.
        downsample_channels: Channels after each of the two convolutions of stride 2.
    """

    layers: int
    width: int
    heads: int
    mlp_width: int
    image_size: int
    patch_size: int
    window_size: int
    global_layers: tuple[int, ...]
    neck_channels: int
    downsample_channels: tuple[int, int]

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def table_side(self) -> int:
        """Side, in patches, of the position table."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, kw_only=True)
class Clip:
    """CLIP vision encoder, fed with SAM features instead of patches of its own.

    Attributes:
        layers: Transformer layers.
        width: Width of the hidden states.
        heads: Attention heads.
        mlp_width: Width of the feed-forward.
        image_size: Side, in pixels, that the position table was made for.
        patch_size: Side of one patch, in pixels.
    """

    layers: int
    width: int
    heads: int
    mlp_width: int
    image_size: int
    patch_size: int

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def table_side(self) -> int:
        """Side, in patches, of the position table; one more row of it is the class token's."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Mixture-of-experts language model with plain multi-head attention.

    Attributes:
        layers: Decoder layers.
        dense_layers: How many of them, from the first, have a dense feed-forward.
        width: Width of the hidden states.
        heads: Attention heads, as many for keys and values.
        dense_width: Width of the dense feed-forward.
        expert_width: Width of one expert.
        experts: Routed experts.
        experts_per_token: Routed experts that each token goes through.
        shared_experts: Experts that every token goes through.
        vocabulary: Rows of the token table and of the output head.
        max_positions: Longest sequence that the model was made for.
        image_token_id: Token that stands where the image features go.
    """

    layers: int
    dense_layers: int
    width: int
    heads: int
    dense_width: int
    expert_width: int
    experts: int
    experts_per_token: int
    shared_experts: int
    vocabulary: int
    max_positions: int
    image_token_id: int = IMAGE_TOKEN_ID

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The networks of one variant; the projector joins ``clip`` and ``sam`` features to ``decoder.width``.

    Attributes:
        source: Where the numbers come from: a bundled variant's name or a checkpoint directory.
        sam: First image encoder.
        clip: Second image encoder, on the first one's features.
        decoder: Language model.
    """

    source: str
    sam: Sam
    clip: Clip
    decoder: Decoder

    @property
    def feature_width(self) -> int:
        """Width of the concatenated features that the projector takes."""
        return self.clip.width + self.sam.downsample_channels[-1]

    @property
    def unused_parameters(self) -> int:
        """Parameters of the patch embedding that official checkpoints hold for CLIP and that never runs."""
        return 3 * self.clip.patch_size**2 * self.clip.width
