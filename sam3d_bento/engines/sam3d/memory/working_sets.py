"""Calculate the working set of a stage: its memory besides the weights. These are formulas; no network runs here.

Each formula is the largest of a few moments of a stage. A moment is the sum of the tensors that are alive in it. The
formulas were derived from upstream's code and compared with the bytes that are alive in the real modules
(tests/upstream/test_memory_plan.py measures them, and states how close they are). The sparse parts are those of this
project: `attention`, `standins.spconv` and `mesh_extraction`. flash_attn needs less. The real spconv was not examined.

The formulas do not contain:
  * what cuDNN, cuBLAS and sorting allocate within one call, and the gaps that torch's allocator leaves
    (`plan.OVERHEAD_BYTES`);
  * the point map, which upstream's `run` keeps to its end (12 bytes a pixel);
  * a mesh that is decoded again in float32 (StagedPipeline._decode_mesh).

Autocast and `use_fp16` compute in float16. Norms are in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sam3d_bento.engines.sam3d.memory.architecture import DEPTH_MODEL, Architecture, Config
from sam3d_bento.engines.sam3d.memory.profiles import Stage
from sam3d_bento.engines.sam3d.standins import spconv

HALF, INT, FULL, LONG = 2, 4, 4, 8  # bytes of a float16, int32, float32, int64
NEIGHBOURS = 27  # rows that a 3 x 3 x 3 kernel gathers
# DINOv2's ViT-L/14: channels of a token, pixels along a patch, width of the mlp's hidden layer in channels.
DINO_CHANNELS, DINO_PATCH, DINO_MLP = 1024, 14, 4

# Voxels in a block of 2 x 2 x 2, which is a token. The released model keeps only the voxels of the surface
# (prune_sparse_structure, pipeline/inference_utils.py). Of these, a block holds 4 for a ball or a box, and 3.25 for a
# sphere that is one voxel thick. It holds fewer only for noise.
VOXELS_PER_TOKEN = 3.2
# Cubes that the surface cuts, per voxel. FlexiCubes makes one vertex in each of them, and about two faces. A run of a
# photo by upstream had 18.5 (485,076 vertices from 26,281 voxels: Asher-1/sam-3d-objects-ggml's stage manifest). The
# folded surface of benchmarks/gyroid.py has 30.
SURFACE_CUBES_PER_VOXEL = 30
# Peak memory of FlexiCubes per such cube, in _compute_vd (flexicubes.py): 12 edges with two ends of six colours each.
# Measured as 2,170 for 5,900, 29,000 and 147,000 cubes.
EXTRACTION_BYTES_PER_CUBE = 2170
# Memory of the finished mesh per such cube: a vertex (position and six attributes, float32) and two faces (int64) with
# their normals, which upstream repeats for each corner.
MESH_BYTES_PER_CUBE = 9 * FULL + 2 * (3 * LONG + 9 * FULL)
# Memory of the point map in the depth stage and the stage after it, in float32 at the photo's size: the map, the map in
# PyTorch3D's axes, two copies of its rows and an int64 index for the median depth of the object (ObjectCentricSSI,
# img_and_mask_transforms.py), and a few single channels.
PHOTO_BYTES_PER_PIXEL = 72


@dataclass(frozen=True)
class Work:
    """Size of a run. voxels: occupied cells of 64³ after pruning. decode_rows: see `profiles.Profile`."""

    architecture: Architecture
    voxels: int
    photo_pixels: int
    decode_rows: int | None


def working_bytes(stage: Stage, work: Work) -> int:
    """Return the bytes that are alive at the worst moment of a stage, without weights and the pixels of the photo."""
    return round(_FORMULAS[stage](work))


def _depth(work: Work) -> float:
    """Return the bytes of MoGe (moge/model/v1.py): its head at half of the resized photo's resolution, or the maps.

    The maps have the resolution of the photo.
    """
    tokens = DEPTH_MODEL["num_tokens_range"][1]
    photos = 3 * FULL * (work.photo_pixels + 2 * tokens * DINO_PATCH**2)  # original, resized, normalised
    features = DEPTH_MODEL["intermediate_layers"] * tokens * DINO_CHANNELS * FULL
    widest = 0
    for level, channels in enumerate(DEPTH_MODEL["dim_upsample"], start=1):
        hidden = DEPTH_MODEL["dim_times_res_block_hidden"] * channels
        # ResidualConvBlock: the skip and its copy, and the hidden layer normed, padded (both float32) and cast.
        block = 2 * channels * HALF + hidden * (FULL + FULL + HALF)
        widest = max(widest, tokens * 4**level * block)
    return float(max(photos + features + widest, PHOTO_BYTES_PER_PIXEL * work.photo_pixels))


def _condition(part: Config) -> float:
    """Return the bytes of a condition embedder: the largest network, beside the tokens of all images.

    The images go through their networks one after the other (EmbedderFuser.forward).
    """
    tokens = condition_tokens(part) * DINO_CHANNELS * HALF
    return tokens + max(_embedder(node) for node, _ in part["embedder_list"])


def _embedder(node: Config) -> float:
    if not _is_point_map(node):
        # DINOv2's mlp: the residual, its sum with the attention, and the norm of that (float32), and the hidden layer
        # before and after its activation.
        return float(_tokens(node) * DINO_CHANNELS * (3 * FULL + 2 * DINO_MLP * HALF))
    # PointPatchEmbed.inner_forward, all windows at once: the features of each point before and after they are put into
    # windows; then timm's Block with an mlp of twice the width, where each window has one more token.
    points, channels = node["input_size"] ** 2, node["embed_dim"]
    with_tokens = points + _tokens(node)
    return float(2 * points * channels * HALF + with_tokens * channels * (3 * FULL + 2 * 2 * HALF))


def _ss_sample(work: Work) -> float:
    """Return the bytes of the first generator's transformer, or of the decoder of its grid of 64³ that follows."""
    network = work.architecture["ss_generator"]["reverse_fn"]["backbone"]
    channels = network["model_channels"]
    tokens = _dense_tokens(network)
    # The tokens of the photo, three times: as given; zeroed for the second evaluation of guidance, which runs after the
    # first; and the zeroed ones in the model's own float32 (SparseStructureFlowModel.forward).
    condition = _condition_of(work, "ss_condition_embedder") * network["cond_channels"] * (2 * HALF + FULL)
    # MOTModulatedTransformerCrossBlock at its mlp: the latents, the block's input, the sum and its norm (float32), and
    # the hidden layer before and after its activation. The separate stream of the four pose tokens is negligible.
    block = tokens * channels * (4 * FULL + 2 * network["mlp_ratio"] * HALF)
    # SparseStructureDecoder: three levels, each with twice the resolution of the last. ChannelLayerNorm32 holds the
    # block's input, its own input before and after the permutation, and two float32 copies of that.
    widths = work.architecture["ss_decoder"]["channels"]
    decoder = max((16 * 2**level) ** 3 * width * (3 * HALF + 2 * FULL) for level, width in enumerate(widths))
    return float(max(condition + block, _keys_and_values(work) + _fused_block(network, 2 * tokens), decoder))


def kept_bytes(work: Work) -> int:
    """Return the bytes that stay after a run in a profile that keeps everything.

    They are what the recorded steps of the first generator and the recorded embedder of the second one read and write.
    The recorded backbones of the first one's embedder add 20 MB, which are left out.
    """
    network = work.architecture["ss_generator"]["reverse_fn"]["backbone"]
    steps = _keys_and_values(work) + _fused_block(network, 2 * _dense_tokens(network))
    return round(steps + _condition(work.architecture["slat_condition_embedder"]))


def _dense_tokens(network: Config) -> int:
    """Count the tokens of the first generator: those of the shape, and four of the pose."""
    return int((network["resolution"] // network["patch_size"]) ** 3 + len(network["latent_mapping"]) - 1)


def _keys_and_values(work: Work) -> float:
    """Return the bytes of the photo's keys and values in the first generator, for both streams of every block."""
    network = work.architecture["ss_generator"]["reverse_fn"]["backbone"]
    tokens = _condition_of(work, "ss_condition_embedder")
    return float(2 * network["num_blocks"] * tokens * 2 * network["model_channels"] * HALF)


def _fused_block(network: Config, rows: float) -> float:
    """Return the bytes of a fused block at its mlp, for the rows of both passes of guidance.

    These are the residual stream; the queries, keys and values of two blocks; the normed input, the hidden layer and
    its output.
    """
    return float(rows * network["model_channels"] * (FULL + (2 * 3 + 1 + network["mlp_ratio"] + 1) * HALF))


def _slat_sample(work: Work) -> float:
    """Return the bytes of the second generator.

    It is a transformer of patches of 2³ voxels between sparse convolutions at full resolution.
    """
    network = work.architecture["slat_generator"]["reverse_fn"]["backbone"]
    rows, channels, narrow = work.voxels, network["model_channels"], network["io_block_channels"][-1]
    tokens = rows / VOXELS_PER_TOKEN
    condition = 2 * _condition_of(work, "slat_condition_embedder") * network["cond_channels"] * HALF
    held = condition + rows * (network["in_channels"] * FULL + narrow * HALF)  # the sample; the skip of all voxels
    # ModulatedSparseTransformerCrossBlock, in float16 values per channel: its input and its norm (2); queries, keys and
    # values (3); the normed queries (1); the keys in float32 while they are normed, three times (6); and the skip of
    # the tokens (1).
    block = tokens * channels * (2 + 3 + 1 + 6 + 1) * HALF
    # The first of out_blocks concatenates the last block's output and the tokens' skip, and distributes them to all
    # voxels. At its norm (LayerNorm32) there are two float32 copies; at its convolution, the activated features.
    joined = tokens * channels * (2 + 2) * HALF
    wide = rows * 2 * channels
    norm = wide * (HALF + 2 * FULL)
    convolution = 2 * wide * HALF + _convolution(rows, 2 * channels, narrow)
    # Fused: the photo's keys and values, and the rows of both passes. Its convolutions hold less than those above.
    keys_and_values = network["num_blocks"] * condition * channels / network["cond_channels"]
    fused = keys_and_values + _fused_block(network, 2 * tokens)
    return float(held + max(block, fused, joined + norm, joined + convolution))


def _mesh(work: Work) -> float:
    """Return the bytes of SLatMeshDecoder: blocks, two subdivisions of each voxel into 8, FlexiCubes at the surface."""
    config = work.architecture["slat_decoder_mesh"]
    moments = [_windowed_blocks(work, config)]
    rows, wide = work.voxels, config["model_channels"]
    for narrow in (config["model_channels"] // 4, config["model_channels"] // 8):
        # SparseSubdivideBlock3d: its input; then 8 times as many rows, twice: activated, and unchanged for the skip
        # connection. Both are held, with their coordinates, until the block is done.
        held = rows * wide * HALF
        rows *= 8
        held += 2 * rows * (wide * HALF + 4 * INT)
        moments.append(held + _convolution(rows, wide, narrow))
        table_and_features = rows * (NEIGHBOURS * INT + narrow * HALF)
        moments.append(held + table_and_features + _group_norm(rows, narrow, work.decode_rows))
        wide = narrow
    # The features of the cubes, a second copy where upstream splits them into objects (SparseTensor.__getitem__), and
    # the last table of neighbours, which belongs to the decoder's output.
    fields = 8 * 1 + 8 * 3 + 21 + (8 * 6 if config["representation_config"].get("use_color") else 0)
    copies = 2 if work.decode_rows is None else 1
    cubes = rows * (copies * (fields * FULL + 4 * INT) + NEIGHBOURS * INT)
    codes = rows * 2 * LONG  # mesh_extraction._Grid: the sorted cubes, and their rows
    surface = work.voxels * SURFACE_CUBES_PER_VOXEL * EXTRACTION_BYTES_PER_CUBE
    return float(max(*moments, cubes + codes + surface))


def _gaussians(work: Work) -> float:
    """Return the bytes of SLatGaussianDecoder and the finished mesh: blocks, then a layer of gaussians per voxel."""
    config = work.architecture["slat_decoder_gs"]
    mesh = work.voxels * SURFACE_CUBES_PER_VOXEL * MESH_BYTES_PER_CUBE
    numbers = (3 + 3 + 3 + 4 + 1) * config["representation_config"]["num_gaussians"]  # SLatGaussianDecoder._calc_layout
    # The last block's output in float32 and its norm; the layer's output, and the gaussians that it is split into.
    output = work.voxels * FULL * (2 * config["model_channels"] + 2 * numbers)
    return float(mesh + max(_windowed_blocks(work, config), output))


def _windowed_blocks(work: Work, config: Config) -> float:
    """Return the bytes of SparseTransformerBlock at its attention (sparse/attention/windowed_attn.py, `attention`).

    In float16 values per channel: the block's input and its norm (2); queries, keys and values (3), and the same in the
    order of the windows (3); the result (1); and queries, keys, values and result of the fullest group of windows (4).
    """
    return float(work.voxels * config["model_channels"] * (2 + 3 + 3 + 1 + 4) * HALF)


def _convolution(rows: int, wide: int, narrow: int) -> float:
    """Return the bytes of a convolution of standins/spconv.py, without its input.

    First the table of neighbours is looked up. Beside it there are then the rows with a row of zeros, a block of
    gathered rows, and the result.
    """
    table = rows * NEIGHBOURS * INT
    # All rows: the coordinates (4), their codes, the sorted codes, and the rows of these. Rows that are looked up at
    # once: the wanted codes, their positions, the row there and the outcome (int64), and whether it is found (a byte).
    looked_up = min(spconv.ROWS_SEARCHED, rows) * NEIGHBOURS * (4 * LONG + 1)
    look_up = rows * (4 + 3) * LONG + looked_up
    gathered = min(spconv.BLOCK_VALUES, rows * NEIGHBOURS * wide)
    return float(table + max(look_up, (rows * wide + gathered + rows * narrow) * HALF))


def _group_norm(rows: int, channels: int, decode_rows: int | None) -> float:
    """Return the bytes of SparseGroupNorm32: the input in float32, permuted, normed, and collected.

    With `decode_rows`, they are those of mesh_extraction._group_norm: the result in half precision, and two float32
    copies of so many rows.
    """
    if decode_rows is None:
        return float(4 * rows * channels * FULL)
    return float(rows * channels * HALF + 2 * min(decode_rows, rows) * channels * FULL)


def condition_tokens(embedder: Config) -> int:
    """Count the tokens of the photo that a generator sees, for all embedders and inputs together."""
    return sum(_tokens(node) * len(inputs) for node, inputs in embedder["embedder_list"])


def _tokens(node: Config) -> int:
    """Count the tokens of one input.

    DINOv2 has a token per patch and the class token. Where features are taken before the last norm, it also has the
    four registers (dino.py, _forward_last_layer).
    """
    if _is_point_map(node):
        return int((node["input_size"] // node["patch_size"]) ** 2)
    return int((node["input_size"] // DINO_PATCH) ** 2) + (5 if node.get("prenorm_features") else 1)


def _is_point_map(node: Config) -> bool:
    return str(node["_target_"]).endswith("PointPatchEmbed")


def _condition_of(work: Work, part: Literal["ss_condition_embedder", "slat_condition_embedder"]) -> int:
    return condition_tokens(work.architecture[part])


_FORMULAS: dict[Stage, Callable[[Work], float]] = {
    "depth": _depth,
    "ss_condition": lambda work: _condition(work.architecture["ss_condition_embedder"]),
    "ss_sample": _ss_sample,
    "slat_condition": lambda work: _condition(work.architecture["slat_condition_embedder"]),
    "slat_sample": _slat_sample,
    "mesh": _mesh,
    "gaussians": _gaussians,
}
