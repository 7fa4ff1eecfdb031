"""Published weights of a backbone: found on this machine, read, and fitted to the network.

Nothing here goes online; `fetch.py` does, when asked to.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import nn

from atypia.errors import AtypiaError, describe_fault
from atypia.models.backbones.registry import BackboneSpec, Tensors

# What training programs put before every name.
_PREFIXES = ("module.", "model.", "backbone.")
# What is left of the task a network was trained on.
_HEADS = ("head.", "head_dist.", "fc.", "classifier.")
_PICKLES = (".bin", ".pth", ".pt")
_NAMED = 3


def find_weights(spec: BackboneSpec, path: Path | None = None) -> Path | None:
    """Return the file that holds a backbone's published weights.

    Args:
        spec: of the backbone.
        path: the file, or a folder that holds it under the name it has on the hub; none looks
            into the local Hugging Face cache (HF_HOME and its kin are obeyed).

    Returns:
        A file; none where the weights come inside a package.

    Raises:
        AtypiaError: there is no such file or package, or weights are given that are not needed.
    """
    if spec.packaged is not None:
        if path is not None:
            raise AtypiaError(f"{path}: {spec.key} comes with its weights; leave out --weights")
        if not spec.is_installed:
            raise AtypiaError(
                f"{spec.key}: the package with its weights ({spec.package}) is not installed; pip "
                "install 'atypia[train]'"
            )
        return None
    if path is None:
        here = cached_weights(spec)
        if here is None:
            raise AtypiaError(
                f"{spec.key}: the weights are not on this machine; {how_to_get(spec)}"
            )
        return here
    if path.is_file():
        return path
    if not path.is_dir():
        raise AtypiaError(f"{path}: not found; --weights takes a file or a folder that holds one")
    for name in spec.files:
        if (path / name).is_file():
            return path / name
    raise AtypiaError(f"{path}: contains none of {', '.join(spec.files)}; {how_to_get(spec)}")


def cached_weights(spec: BackboneSpec) -> Path | None:
    """Return the weights' file in the local Hugging Face cache, none where it is not there."""
    # `hf_hub_download` goes online also where it is to look here only: for a list of the hub's, or
    # to renew a token.
    from huggingface_hub import try_to_load_from_cache

    for name in spec.files:
        here = try_to_load_from_cache(spec.repository, name)
        if isinstance(here, str):
            return Path(here)
    return None


def how_to_get(spec: BackboneSpec) -> str:
    """Return in half a sentence how to get a backbone's weights."""
    accept = "" if spec.access == "open" else f"accept the conditions at {spec.page}, then "
    return (
        f"{accept}run `atypia models fetch {spec.key} --out DIR` on a connected machine and give "
        "--weights DIR here (without --out, they are kept in the Hugging Face cache)"
    )


def pretrained_backbone(
    spec: BackboneSpec, file: Path | None, *, input_px: int | None = None, depth: int | None = None
) -> nn.Module:
    """Build a backbone with its published weights, float32, on the CPU.

    Args:
        spec: of the backbone.
        file: from `find_weights`.
        input_px: side of a crop; none takes the one the network was trained for.
        depth: number of blocks, for tests.

    Raises:
        AtypiaError: the file cannot be read or its tensors are not those of the network, or the
            network cannot look at crops of this side.
    """
    if spec.packaged is not None:
        network = spec.create(input_px, depth)
        network.load_state_dict(spec.packaged(list(network.state_dict())))
        return network
    if file is None:
        raise ValueError(f"{spec.key} needs a file")
    # Random weights of a billion parameters would cost a minute and their memory, for nothing.
    with torch.device("meta"):
        network = spec.create(input_px, depth)
    network.load_state_dict(match_weights(read_tensors(file), network, spec, file), assign=True)
    # What no file holds (periods of rotary embeddings) is the same in a network of one block.
    for name, buffer in spec.create(input_px, 1).named_buffers():
        if network.get_buffer(name).is_meta:
            owner, _, own = name.rpartition(".")
            network.get_submodule(owner).register_buffer(own, buffer, persistent=False)
    return network


def read_tensors(file: Path) -> Tensors:
    """Read a file of named tensors; nothing in it is executed.

    Args:
        file: .safetensors, or .bin, .pth, .pt as torch saves them.

    Raises:
        AtypiaError: the file is of another kind, broken, or holds more than tensors.
    """
    again = "fetch the published file again"
    if file.suffix not in (".safetensors", *_PICKLES):
        raise AtypiaError(f"{file}: weights are .safetensors, {', '.join(_PICKLES)}; {again}")
    try:
        if file.suffix == ".safetensors":
            tensors = load_file(file)
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise AtypiaError(
            f"{file}: contains Python objects besides tensors and is not opened; {again}"
        ) from fault
    except (OSError, EOFError, RuntimeError, SafetensorError) as fault:
        raise AtypiaError(f"{file}: cannot be read ({describe_fault(fault)}); {again}") from fault
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in tensors.items()
    ):
        raise AtypiaError(f"{file}: is not a file of named tensors; {again}")
    return tensors


def match_weights(tensors: Tensors, network: nn.Module, spec: BackboneSpec, file: Path) -> Tensors:
    """Return the tensors of a file as the network's, float32, by its names.

    Prefixes of training programs and classifiers are left out; position embeddings are resampled
    to the network's grid of patches, as timm does it. All else must match exactly.

    Raises:
        AtypiaError: a tensor is missing, not expected or of another shape.
    """
    state = _strip_prefixes(tensors)
    if spec.rename is not None:
        state = dict(spec.rename(state))
    own = network.state_dict()
    state = {
        name: tensor.float()
        for name, tensor in state.items()
        if name in own or not name.startswith(_HEADS)
    }
    if "pos_embed" in state and "pos_embed" in own:
        state["pos_embed"] = _resample(state["pos_embed"], network)
    shared = own.keys() & state.keys()
    faults = {
        "missing": sorted(own.keys() - shared),
        "unexpected": sorted(state.keys() - shared),
        "of a different shape": sorted(n for n in shared if own[n].shape != state[n].shape),
    }
    mismatches = [
        f"{len(names)} {what} ({', '.join(names[:_NAMED])}{', ...' if names[_NAMED:] else ''})"
        for what, names in faults.items()
        if names
    ]
    if mismatches:
        raise AtypiaError(
            f"{file}: these are not the weights of {spec.key}: tensors {'; '.join(mismatches)}"
        )
    return state


def _strip_prefixes(tensors: Tensors) -> dict[str, torch.Tensor]:
    state = dict(tensors)
    for prefix in _PREFIXES:
        if all(name.startswith((prefix, *_HEADS)) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _resample(positions: torch.Tensor, network: nn.Module) -> torch.Tensor:
    """Fit position embeddings (1, T, W) to the network's grid; other shapes are left as they are.

    The tokens before the first patch have positions only where the network says so.
    """
    prefix = 0 if network.no_embed_class else int(network.num_prefix_tokens)  # type: ignore[arg-type]
    patches = positions.shape[1] - prefix if positions.ndim == 3 else 0
    if patches < 1 or math.isqrt(patches) ** 2 != patches:
        return positions
    grid: tuple[int, int] = network.get_submodule("patch_embed").grid_size  # type: ignore[assignment]
    resampled: torch.Tensor = resample_abs_pos_embed(
        positions, new_size=list(grid), num_prefix_tokens=prefix
    )
    return resampled
