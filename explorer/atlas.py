"""The Atlas: all that a screen needs to show one model on one data set, as plain arrays.

Built once after training (torch, scikit-learn and umap are needed only then), stored as gzipped safetensors beside
the weights, read with numpy alone. The browser reads the same files: each goes over the wire as it lies on the disk.

Parts: images (shared by all models of a data set), codes, decoder, posterior. atlas.json names each part's file and
hash.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer import checkpoints, data, described, latent, projection
from explorer.data import About
from explorer.files import DamagedFile, read_checked, read_record, sha256, write_record, write_whole

if TYPE_CHECKING:
    from explorer.loaded import Model
    from explorer.models import AE

FORMAT = 1
MANIFEST = "atlas.json"
MAX_MANIFEST_BYTES = 2_000_000
MAX_PART_BYTES = 100_000_000
NEEDED = ("images", "codes", "decoder")
PARTS = (*NEEDED, "posterior")
SERVED = "served"  # the kind of layer of a decoder that the browser cannot run: the server does, and there is no part
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Atlas:
    """Arrays by part.

    images: images uint8 [N, C, H, W].
    codes: codes float32 [N, d]; labels uint8 [N]; umap float16 [N, 2]; quantiles [d, 1001]; activity, order,
        kl_per_dim [d];
        pca_mean [d], pca_components [2, d], pca_explained [2]; mixture_weights [K], mixture_means [K, d],
        mixture_cholesky [K, d, d]; distances [1001] (quantiles of the distance to the nearest other code);
        trust_raw [d, d], trust_pca, trust_umap [1]. umap and trust_umap are missing until UMAP is drawn.
    decoder: the decoder's weights, float16 where that is exact to 1/255 in the image, else float32; empty for one that
        runs on the server.
    posterior: logvar float16 [N, d]; empty for an AE.
    about: what the browser cannot know of a data set that does not ship with the project; None for one that does.
    """

    images: Arrays
    codes: Arrays
    decoder: Arrays
    posterior: Arrays
    layers: tuple[dict[str, object], ...]
    about: About | None = None


def build(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int = 0,
    order: np.ndarray | None = None,
    with_umap: bool = True,
    about: About | None = None,
) -> Atlas:
    """The atlas of model on held-out images x (uint8 [N, C, H, W]) with labels y (uint8 [N]).

    order: the dimensions, most active first, where that is known from more images than these.
    with_umap: whether to wait for UMAP; an atlas without it shows the other views, as does one of very few images.
    about: what the data set is, if it does not ship with the project.
    """
    unit = x.astype(np.float32) / 255
    codes, logvar = model.posterior(unit) if model.card.model == "vae" else (model.encode(unit), None)
    codes = np.ascontiguousarray(codes)
    return of_codes(
        codes,
        x,
        y,
        logvar=logvar,
        decoder=decoder_arrays(model, codes, seed=seed),
        layers=decoder_layers(model.module),
        seed=seed,
        order=order,
        with_umap=with_umap,
        about=about,
    )


def of_codes(
    codes: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    logvar: np.ndarray | None,
    decoder: Arrays,
    layers: tuple[dict[str, object], ...],
    seed: int = 0,
    order: np.ndarray | None = None,
    with_umap: bool = True,
    about: About | None = None,
) -> Atlas:
    """The atlas of a model of which the codes of x are known, [N, d], and logvar [N, d] if it has posteriors.

    decoder, layers: its decoder for the browser. The rest is as for build.
    """
    posterior = {} if logvar is None else {"logvar": logvar.astype(np.float16)}
    return Atlas(
        images={"images": x},
        codes={
            **code_arrays(codes, seed=seed, order=latent.by_activity(codes) if order is None else order),
            **(umap_arrays(codes, seed=seed) if with_umap and len(codes) >= projection.UMAP_LEAST else {}),
            "labels": y,
            "kl_per_dim": kl_per_dim(codes, posterior),
        },
        decoder=decoder,
        posterior=posterior,
        layers=layers,
        about=about,
    )


def code_arrays(codes: np.ndarray, *, seed: int, order: np.ndarray) -> Arrays:
    pca = projection.fit_pca(codes)
    mixture = latent.fit_mixture(codes, seed=seed)
    return {
        "codes": short(codes),
        "quantiles": short(latent.quantile_table(codes)),
        "activity": codes.var(axis=0),
        "order": order.astype(np.int32),
        "pca_mean": pca.mean,
        "pca_components": pca.components,
        "pca_explained": pca.explained,
        "mixture_weights": mixture.weights,
        "mixture_means": mixture.means,
        "mixture_cholesky": mixture.cholesky,
        "distances": latent.quantile_table(latent.neighbour_distances(codes)[:, None])[0],
        "trust_raw": projection.trust_of_axes(codes),
        "trust_pca": np.array([projection.trust(codes, (codes - pca.mean) @ pca.components.T)], np.float32),
    }


def umap_arrays(codes: np.ndarray, *, seed: int) -> Arrays:
    picture = projection.umap(codes, seed=seed)
    return {
        "umap": picture.astype(np.float16),  # a picture: a thousandth of its width is less than a pixel
        "trust_umap": np.array([projection.trust(codes, picture)], np.float32),
    }


def kl_per_dim(mu: np.ndarray, posterior: Arrays) -> np.ndarray:
    """[d], nats: mean over the images; zeros for an AE, which has no prior to be far from."""
    if not posterior:
        return np.zeros(mu.shape[1], np.float32)
    logvar = posterior["logvar"].astype(np.float32)
    return (0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)).mean(axis=0)


def decoder_arrays(model: Model, codes: np.ndarray, *, seed: int) -> Arrays:
    """The decoder's weights; halved only if no pixel of any image moves by 1/255, over codes and far outside them."""
    import torch
    from torch.func import functional_call

    full = {name: value.detach().float() for name, value in model.module.decoder.state_dict().items()}
    half = {name: value.half() for name, value in full.items()}
    spread = np.random.default_rng(seed).normal(size=(500, codes.shape[1])) * codes.std(axis=0) * 4 + codes.mean(axis=0)
    z = torch.from_numpy(np.concatenate([codes[:1500], spread]).astype(np.float32))
    with torch.no_grad():
        rounded = torch.sigmoid(functional_call(model.module.decoder, {k: v.float() for k, v in half.items()}, z))
        moved = (rounded - model.module.decode(z)).abs().max().item()
    return {name: value.numpy() for name, value in (half if moved < 1 / 255 else full).items()}


def decoder_layers(module: AE) -> tuple[dict[str, object], ...]:
    """The decoder as a list of steps that a reader without torch can follow; weights by their names in the part."""
    from torch import nn

    layers: list[dict[str, object]] = []
    for index, layer in enumerate(module.decoder):
        if isinstance(layer, nn.Linear):
            layers.append({"kind": "linear", "weight": f"{index}.weight", "bias": f"{index}.bias"})
        elif isinstance(layer, nn.ConvTranspose2d):
            layers.append(
                {
                    "kind": "conv_transpose",
                    "weight": f"{index}.weight",
                    "bias": f"{index}.bias",
                    "stride": layer.stride[0],
                    "padding": layer.padding[0],
                }
            )
        elif isinstance(layer, nn.ReLU):
            layers.append({"kind": "relu"})
        elif isinstance(layer, nn.Unflatten):
            layers.append({"kind": "unflatten", "shape": list(layer.unflattened_size)})
        else:
            raise TypeError(f"The browser's decoder has no {type(layer).__name__}")
    return (*layers, {"kind": "sigmoid"})


def save(atlas: Atlas, folder: Path, *, images_folder: Path | None = None) -> None:
    """Write the atlas into folder; its images into images_folder if several models are to share them."""
    parts: dict[str, dict[str, object]] = {}
    for name in PARTS:
        arrays: Arrays = getattr(atlas, name)
        if not arrays:
            continue
        content = gzip.compress(pack(arrays), compresslevel=9, mtime=0)
        digest = sha256(content)
        target = (images_folder or folder) if name == "images" else folder
        file = f"images-{digest[:12]}.gz" if name == "images" else f"{name}.gz"
        write_whole(target / file, content)
        parts[name] = {"file": file, "sha256": digest, "bytes": len(content)}
    manifest = {
        "format": FORMAT,
        "n": len(atlas.codes["codes"]),
        "layers": list(atlas.layers),
        "trust": {"points": projection.TRUST_POINTS, "neighbours": projection.TRUST_NEIGHBOURS},
        "perfect_copy": perfect_copy(atlas.images["images"]),
        "parts": parts,
        **({described.KEY: asdict(atlas.about)} if atlas.about else {}),
    }
    write_record(folder / MANIFEST, manifest)


def short(values: np.ndarray) -> np.ndarray:
    """float32 values rounded to 16 significant bits: moved by less than 1e-5 of themselves, a quarter less to send."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x80)) & np.uint32(0xFFFFFF00)).view(np.float32)


def perfect_copy(images: np.ndarray) -> float:
    """The least recon any model could reach on images (uint8): the entropy of their grey pixels, nats an image."""
    x = np.arange(1, 255) / 255
    counts = np.bincount(images.ravel(), minlength=256)[1:255]
    return float(-(counts * (x * np.log(x) + (1 - x) * np.log(1 - x))).sum() / len(images))


def pack(arrays: Arrays) -> bytes:
    """safetensors bytes, the same for the same arrays."""
    from safetensors.numpy import save as to_bytes

    return to_bytes({name: np.ascontiguousarray(value) for name, value in arrays.items()})


def read_manifest(folder: Path) -> dict:
    """atlas.json in folder. Raises DamagedFile if it is missing, of an unknown format or not a manifest."""
    path = folder / MANIFEST
    manifest = read_record(path, what="an atlas", known_format=FORMAT, max_bytes=MAX_MANIFEST_BYTES)
    if not is_sound(manifest):
        expected = f"n, layers, trust, perfect_copy and the parts {', '.join(NEEDED)}"
        raise DamagedFile(f"{path} is not an atlas: {expected} were expected")
    return manifest


def is_sound(manifest: dict) -> bool:
    """Whether all that a reader of the manifest relies on is there and of the right kind."""
    kinds = {"n": int, "layers": list, "trust": dict, "perfect_copy": float, "parts": dict}
    if not all(isinstance(manifest.get(key), kind) for key, kind in kinds.items()):
        return False
    if described.KEY in manifest and not described.is_about(manifest[described.KEY]):
        return False
    parts = manifest["parts"]
    needed = set(NEEDED) - {"decoder"} if is_served(manifest) else set(NEEDED)
    entry = {"file": str, "sha256": str, "bytes": int}
    return needed <= set(parts) <= set(PARTS) and all(
        isinstance(part, dict) and all(isinstance(part.get(key), kind) for key, kind in entry.items())
        for part in parts.values()
    )


def is_served(manifest: dict) -> bool:
    """Whether the decoder runs on the server: the browser asks for each image."""
    return [layer.get("kind") for layer in manifest["layers"] if isinstance(layer, dict)] == [SERVED]


def part_path(folder: Path, file: str) -> Path:
    """Where a part's file lies: in the model's folder, or beside it when models share it. Names only, no paths."""
    if not PLAIN_NAME.fullmatch(file):
        raise DamagedFile(f"{folder / MANIFEST} names {file!r}: a plain file name was expected")
    return next((place / file for place in (folder, folder.parent) if (place / file).is_file()), folder / file)


def read_part(folder: Path, name: str) -> Arrays:
    """One part's arrays, checked by hash. Raises DamagedFile."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    entry = read_manifest(folder)["parts"].get(name)
    if entry is None:
        return {}
    path = part_path(folder, entry["file"])
    content = read_checked(path, expected_sha256=entry["sha256"], max_bytes=MAX_PART_BYTES)
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            unpacked = packed.read(MAX_PART_BYTES)
        return from_bytes(unpacked)
    except (OSError, EOFError, zlib.error, SafetensorError) as error:
        raise DamagedFile(f"{path} is not a part of an atlas: {error}") from error


def held_out(dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (uint8) that no model was trained on, and labels: those that the shipped models show, or the subset's."""
    shown = checkpoints.PRETRAINED / f"{dataset}-ae-2"
    with contextlib.suppress(DamagedFile):  # without it, or if it is damaged, the subset will do
        return read_part(shown, "images")["images"], read_part(shown, "codes")["labels"]
    small = data.load_subset(dataset)
    return small.x_test, small.y_test


def load(folder: Path) -> Atlas:
    """The atlas in folder. Raises DamagedFile, naming the file, if a part of it is not sound."""
    manifest = read_manifest(folder)
    parts = {name: read_part(folder, name) for name in PARTS}
    return Atlas(layers=tuple(manifest["layers"]), about=described.about_of(manifest), **parts)
