"""Nothing is unpickled or run that came as data: the source is searched for what could, and each door is tried."""

from __future__ import annotations

import ast
import gzip
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer import atlas, bring, classifier, own_data, packing, resume
from explorer.checkpoints import PRETRAINED
from explorer.files import sha256
from explorer.foreign import structure
from tests.damage import Bomb, change_json, replace_weights, unsealed

ROOT = Path(__file__).parents[1]
ROOMS = ("explorer", "scripts", "bench")
SOURCES = [ROOT / "app.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]
# Libraries that unpickle what they are given, or run it.
BANNED = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "code", "codeop"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "os.system", "os.popen", "pandas.read_pickle"}
# Libraries that pickle the messages between processes of ours, never what came from outside; the rooms that read what
# people bring may not even import them.
OWN_PROCESSES = {"multiprocessing", "concurrent", "ray"}
ARRAYS = {"x": np.zeros((4, 1, 8, 8), np.uint8), "y": np.zeros(4, np.uint8)}
READERS = ("bring", "foreign", "packing.py", "own_data.py", "checkpoints.py", "atlas.py", "resume.py", "arrivals.py")


def name_of(node: ast.expr) -> str:
    """ "torch.load" for the function of torch.load(x); "" for one that has no plain name."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_given(call: ast.Call, key: str, value: bool) -> bool:
    found = [one.value for one in call.keywords if one.arg == key]
    return any(isinstance(one, ast.Constant) and one.value is value for one in found)


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in a source could unpickle or run data, by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in BANNED)
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in full if name.split(".")[0] in BANNED or name in CALLS)
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            if name in CALLS or (isinstance(node.func, ast.Attribute) and node.func.attr == "read_pickle"):
                yield name
            elif name in ("np.load", "numpy.load") and not is_given(node, "allow_pickle", False):
                yield f"{name} without allow_pickle=False"
            elif is_given(node, "allow_pickle", True) or is_given(node, "shell", True):
                yield f"{name} with a pickle or a shell"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_or_runs_data(path: Path) -> None:
    assert [*dangers(ast.parse(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "def f():\n    from torch import load",
        "torch.load(path, weights_only=True)",
        "eval('1')",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.savez(path, x=x, allow_pickle=True)",
        "subprocess.run('ls', shell=True)",
        "pd.read_pickle(path)",
        "os.system('ls')",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert len([*dangers(ast.parse(source))]) == 1


@pytest.mark.parametrize("source", ["np.load(path, allow_pickle=False)", "model.eval()", "re.compile('x')"])
def test_the_search_leaves_the_rest_alone(source: str) -> None:
    assert [*dangers(ast.parse(source))] == []


def test_what_reads_the_files_of_others_has_no_library_that_pickles_between_processes() -> None:
    home = ROOT / "explorer"
    paths = [path for path in home.rglob("*.py") if path.relative_to(home).parts[0] in READERS]
    assert len(paths) > 15
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & OWN_PROCESSES, path


# ---- the doors. Weights, embedded sets and an .npz of objects are tried in test_checkpoints, test_data and test_bring.


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the bomb would make."""
    return tmp_path / "marker"


@pytest.fixture
def bomb(marker: Path) -> Iterator[bytes]:
    """A pickle that makes the marker wherever it is unpickled; in the end it is shown that it would."""
    content = pickle.dumps(Bomb(marker))
    yield content
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()


def as_torch_saves(bomb: bytes) -> bytes:
    """A zip laid out as torch.save writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def npz_of(bomb: bytes) -> bytes:
    """An .npz with a member whose head is honest and says that objects follow."""
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (3,)})  # type: ignore[arg-type]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", member.getvalue() + bomb)
    return file.getvalue()


DISGUISES: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda bomb: bomb,
    "gzipped": gzip.compress,
    "as torch saves": as_torch_saves,
    "npz": npz_of,
}
NAMES = ["d.npz", "d.npy", "d.pkl", "d.pt", "d.csv", "d.png", "images-idx3-ubyte", "images-idx3-ubyte.gz", "d.zip"]


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_data_set_that_is_a_pickle_is_refused(bomb: bytes, tmp_path: Path, disguise: str) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(DISGUISES[disguise](bomb))
        with pytest.raises(ValueError, match=r"none of the files|no image in it|Python objects"):
            bring.read([tmp_path / name])


def test_a_model_that_came_as_onnx_and_is_a_pickle_is_refused(bomb: bytes) -> None:
    for disguise in DISGUISES.values():
        with pytest.raises(ValueError, match="is not a whole ONNX file"):
            structure.read(disguise(bomb), what="decoder")


@pytest.mark.parametrize("file", ["weights.safetensors", "codes.gz", "decoder.gz", "card.json", "atlas.json"])
def test_a_zip_of_models_with_a_pickle_in_it_is_refused_though_its_hashes_agree(
    bomb: bytes, tmp_path: Path, file: str
) -> None:
    folder, name = PRETRAINED / "mnist-ae-2", "mnist-ae-2"
    card, manifest = (unsealed((folder / one).read_bytes()) for one in ("card.json", "atlas.json"))
    packed = gzip.compress(bomb) if file.endswith(".gz") else bomb
    card["sha256"] = sha256(packed) if file.startswith("weights") else card["sha256"]
    for part in manifest["parts"].values():
        if part["file"] == file:
            part.update(sha256=sha256(packed), bytes=len(packed))
    files = {
        "card.json": json.dumps(card).encode(),
        "atlas.json": json.dumps(manifest).encode(),
        **{one: (folder / one).read_bytes() for one in ("weights.safetensors", "codes.gz", "decoder.gz")},
        manifest["parts"]["images"]["file"]: (PRETRAINED / manifest["parts"]["images"]["file"]).read_bytes(),
        file: packed,
    }
    content = packing.to_zip({f"{name}/{one}": files[one] for one in files})
    with pytest.raises(ValueError, match=f"{file} is not (sound|a model card|an atlas)"):
        packing.unpack(content, tmp_path / "there")


def test_what_lies_in_the_servers_own_folders_is_not_unpickled_either(bomb: bytes, tmp_path: Path) -> None:
    """Files of ours that someone has replaced, their hashes too."""
    training = tmp_path / f"training-{sha256(bomb)[:16]}.safetensors"
    training.write_bytes(bomb)
    with pytest.raises(ValueError, match="is not a training: its header may have"):
        resume.read(training)
    made = own_data.make(title="t", source="s", classes=("a",), **{key: ARRAYS[key[:1]] for key in own_data.KEYS})
    own_data.save(tmp_path, made)
    (tmp_path / own_data.ARRAYS).write_bytes(bomb)
    change_json(tmp_path / own_data.RECORD, sha256=sha256(bomb))
    with pytest.raises(ValueError, match="is not a data set"):
        own_data.load(tmp_path)
    judge = Path(shutil.copytree(PRETRAINED / "classifiers" / "mnist", tmp_path / "judge"))
    replace_weights(judge, bomb)
    with pytest.raises(ValueError, match="safetensors"):
        classifier.read(judge)
    shown, packed = Path(shutil.copytree(PRETRAINED / "mnist-ae-2", tmp_path / "shown")), gzip.compress(bomb)
    (shown / "codes.gz").write_bytes(packed)
    parts = atlas.read_manifest(shown)["parts"]
    change_json(shown / atlas.MANIFEST, parts={**parts, "codes": {**parts["codes"], "sha256": sha256(packed)}})
    with pytest.raises(ValueError, match="is not a part of an atlas"):
        atlas.read_part(shown, "codes")
