from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import pickle
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import Bomb, flip_a_bit, inflate, truncate

from explorer import data
from explorer.files import DamagedFile, sha256

SHAPES = {
    "train-images-idx3-ubyte": (12, 28, 28),
    "train-labels-idx1-ubyte": (12,),
    "t10k-images-idx3-ubyte": (5, 28, 28),
    "t10k-labels-idx1-ubyte": (5,),
}


@pytest.fixture
def idx_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Four tiny files by name, which data takes for the published MNIST; no set lies in the usual places."""
    random = np.random.default_rng(0)
    files = {}
    for name, shape in SHAPES.items():
        values = random.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
        files[name] = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + values.tobytes()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(data.PUBLISHED, "mnist", replace(data.PUBLISHED["mnist"], files=hashes))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LATENT_EXPLORER_DATA", raising=False)
    return files


def lay_out(root: Path, files: dict[str, bytes]) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in files.items():
        (raw / name).write_bytes(content)
    return raw


def test_digits_are_those_of_scikit_learn_and_each_is_used_once(digits: data.Dataset) -> None:
    from sklearn.datasets import load_digits

    bundled = load_digits().images / 16
    x = np.concatenate([digits.x_train, digits.x_test]) / 255
    assert (len(digits.x_train), len(digits.x_test)) == (1438, 359)
    assert digits.image_shape == (1, 8, 8)
    by_pixels = np.sort(x.reshape(len(x), -1).sum(axis=1))
    np.testing.assert_allclose(by_pixels, np.sort(bundled.reshape(len(x), -1).sum(axis=1)), atol=64 / 510)


@pytest.mark.parametrize("name", list(data.PUBLISHED))
def test_the_embedded_subset_has_equally_many_images_of_each_class(name: str) -> None:
    dataset = data.load_embedded(name)
    assert dataset.x_train.shape == (10_000, 1, 28, 28)
    assert dataset.x_test.shape == (2_000, 1, 28, 28)
    assert np.bincount(dataset.y_train).tolist() == [1000] * len(dataset.classes)
    assert np.bincount(dataset.y_test).tolist() == [200] * len(dataset.classes)


@pytest.mark.parametrize("name", list(data.PUBLISHED))
def test_no_embedded_test_image_is_a_training_image(name: str) -> None:
    dataset = data.load_embedded(name)
    seen = {x.tobytes() for x in dataset.x_train}
    assert not any(x.tobytes() in seen for x in dataset.x_test)


def test_the_embedded_subsets_are_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in data.EMBEDDED.iterdir()) <= 10_000_000


def test_a_full_set_is_read_as_torchvision_reads_it(idx_files: dict[str, bytes], tmp_path: Path) -> None:
    raw = lay_out(tmp_path, idx_files)
    read_idx_file = data.import_torchvision_datasets().mnist.read_sn3_pascalvincent_tensor
    dataset = data.load("mnist", root=tmp_path)
    for array, name in zip((dataset.x_train[:, 0], dataset.y_train, dataset.x_test[:, 0], dataset.y_test), SHAPES):
        np.testing.assert_array_equal(array, read_idx_file(str(raw / name)).numpy())


def test_a_set_is_looked_for_in_the_variable_then_the_cache_then_what_is_embedded(
    idx_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.load("mnist").source == "the embedded subset"
    cached = lay_out(data.cache_root(), idx_files)
    assert data.load("mnist").source == "the full set"
    (cached / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    lay_out(tmp_path / "named", idx_files)
    monkeypatch.setenv("LATENT_EXPLORER_DATA", str(tmp_path / "named"))
    assert data.load("mnist").source == "the full set"
    monkeypatch.setenv("LATENT_EXPLORER_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DamagedFile, match=str(cached)):
        data.load("mnist")


def test_the_subset_can_be_asked_for_where_the_full_set_is_too(
    idx_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_EXPLORER_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    assert not any(map(data.has_full, data.NAMES))
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    assert [name for name in data.NAMES if data.has_full(name)] == ["mnist"]
    assert len(data.load_subset("mnist").x_train) == 10_000
    assert len(data.load_subset("digits").x_train) == 1438
    with pytest.raises(ValueError, match="Unknown data set"):
        data.load_subset("cifar")


def test_every_set_has_a_title_and_as_many_classes_as_its_labels() -> None:
    assert tuple(data.titles()) == data.NAMES
    for name, (title, classes) in data.titles().items():
        assert title
        assert len(classes) == int(data.load_subset(name).y_test.max()) + 1


def test_a_root_that_was_asked_for_is_never_passed_over(idx_files: dict[str, bytes], tmp_path: Path) -> None:
    lay_out(data.cache_root(), idx_files)
    (tmp_path / "mine" / "MNIST").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"mine has no folder MNIST/raw; get it with: python -m explorer data get mnist"
    ):
        data.load("mnist", root=tmp_path / "mine")


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip_a_bit, inflate])
@pytest.mark.parametrize("name", list(SHAPES))
def test_a_damaged_file_of_a_full_set_is_named_with_the_way_out(
    idx_files: dict[str, bytes], tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(lay_out(tmp_path, idx_files) / name)
    with pytest.raises(DamagedFile, match=rf"{name} .*again with: python -m explorer data get mnist --root {tmp_path}"):
        data.load("mnist", root=tmp_path)


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip_a_bit, inflate])
def test_a_damaged_embedded_subset_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    (tmp_path / "mnist.npz").write_bytes((data.EMBEDDED / "mnist.npz").read_bytes())
    damage(tmp_path / "mnist.npz")
    monkeypatch.setattr(data, "EMBEDDED", tmp_path)
    with pytest.raises(DamagedFile, match=r"mnist\.npz"):
        data.load_embedded("mnist")


def test_a_pickle_inside_a_subset_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    np.savez(packed, x_train=np.array([Bomb(tmp_path / "hit")], dtype=object))
    (tmp_path / "mnist.npz").write_bytes(packed.getvalue())
    changed = replace(data.PUBLISHED["mnist"], embedded=sha256(packed.getvalue()))
    monkeypatch.setitem(data.PUBLISHED, "mnist", changed)
    monkeypatch.setattr(data, "EMBEDDED", tmp_path)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        data.load_embedded("mnist")
    assert not (tmp_path / "hit").exists()
    pickle.loads(pickle.dumps(Bomb(tmp_path / "hit")))
    assert (tmp_path / "hit").exists(), "the bomb is a dud: this test proves nothing"


def test_an_unknown_set_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"Unknown data set: 'cifar'\. Must be one of: mnist, fashion-mnist, digits"):
        data.load("cifar")


# ---- the download: torchvision's own code against a server on this machine


class Mirror(http.server.ThreadingHTTPServer):
    """Serves files by name; those in cut break off half way, though their whole length was announced.

    silent: the rest does not come, and the connection stays.
    """

    def __init__(self, files: dict[str, bytes], cut: frozenset[str], *, silent: bool) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.cut, self.silent = files, cut, silent
        self.over = threading.Event()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked.append(name)
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name in self.server.cut else content)
        if name in self.server.cut and self.server.silent:
            self.server.over.wait()

    def log_message(self, *about: object) -> None:
        pass


@pytest.fixture
def mirror(idx_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Mirror]]:
    """Starts mirrors of the tiny set and points torchvision at them, the first one first."""
    archives = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in idx_files.items()}
    MNIST = data.import_torchvision_datasets().MNIST
    md5s = [(name, hashlib.md5(content).hexdigest()) for name, content in archives.items()]
    monkeypatch.setattr(MNIST, "resources", md5s)
    monkeypatch.setattr(MNIST, "mirrors", [])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers: list[Mirror] = []

    def start(*, cut: frozenset[str] = frozenset(), silent: bool = False) -> Mirror:
        servers.append(Mirror(archives, cut, silent=silent))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        MNIST.mirrors.append(servers[-1].url)
        return servers[-1]

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


CUT = frozenset({"t10k-images-idx3-ubyte.gz"})


def test_a_download_ends_as_a_set_that_can_be_read(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    mirror()
    dataset = data.download("mnist", root=tmp_path)
    assert dataset.x_train.shape == (12, 1, 28, 28)
    np.testing.assert_array_equal(data.load("mnist", root=tmp_path).x_test, dataset.x_test)


def test_a_download_that_is_cut_says_so_and_can_be_repeated(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    server = mirror(cut=CUT)
    with pytest.raises(ConnectionError, match=r"MNIST could not be downloaded to .*t10k-images-idx3-ubyte\.gz"):
        data.download("mnist", root=tmp_path)
    assert not (tmp_path / "MNIST").exists(), "nothing is used before all of it is there"
    server.cut, server.asked = frozenset(), []
    assert data.download("mnist", root=tmp_path).x_test.shape == (5, 1, 28, 28)
    assert "train-images-idx3-ubyte.gz" not in server.asked, "what came whole is not fetched again"
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


def test_a_mirror_that_falls_silent_is_given_up(
    mirror: Callable[..., Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "SILENT_S", 0.3)
    mirror(cut=CUT, silent=True)
    with pytest.raises(ConnectionError, match="timed out"):
        data.download("mnist", root=tmp_path)
    assert socket.getdefaulttimeout() is None


def test_a_second_mirror_helps_where_the_first_is_cut(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    mirror(cut=CUT)
    mirror()
    assert data.download("mnist", root=tmp_path).x_test.shape == (5, 1, 28, 28)


def test_mirrors_out_of_reach_are_told_with_the_way_out(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    server = mirror()
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match=r"Check the connection and try again, or copy the files there"):
        data.download("mnist", root=tmp_path)


def test_a_set_that_is_there_is_not_downloaded_again(
    mirror: Callable[..., Mirror], idx_files: dict[str, bytes], tmp_path: Path
) -> None:
    lay_out(tmp_path, idx_files)  # and no mirror was started
    assert data.download("mnist", root=tmp_path).source == "the full set"


def test_a_damaged_file_is_not_taken_for_downloaded_but_fetched_again(
    mirror: Callable[..., Mirror], idx_files: dict[str, bytes], tmp_path: Path
) -> None:
    mirror()
    damaged = lay_out(tmp_path, idx_files) / "train-images-idx3-ubyte"
    damaged.write_bytes(b"")
    assert len(data.download("mnist", root=tmp_path).x_train) == 12
    assert damaged.read_bytes() == idx_files[damaged.name]


def test_digits_cannot_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown data set: 'digits'\. Must be one of: mnist, fashion-mnist$"):
        data.download("digits", root=tmp_path)


def test_two_downloads_at_once_fetch_each_archive_once(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    server = mirror()
    data.download("mnist", root=tmp_path / "alone")
    alone, server.asked = sorted(server.asked), []
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(data.download, "mnist", root=tmp_path / "both") for _ in range(2)]
    assert [len(one.result().x_train) for one in both] == [12, 12]
    assert sorted(server.asked) == alone
    assert [path.name for path in (tmp_path / "both").iterdir()] == ["MNIST"]


def test_a_mirror_with_other_images_is_refused(
    mirror: Callable[..., Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mirror()
    other = {
        name: gzip.compress(gzip.decompress(content)[:-1] + b"x", mtime=0) for name, content in server.files.items()
    }
    server.files = other
    MNIST = data.import_torchvision_datasets().MNIST
    monkeypatch.setattr(
        MNIST, "resources", [(name, hashlib.md5(content).hexdigest()) for name, content in other.items()]
    )
    with pytest.raises(ConnectionError, match=r"could not be downloaded .* is damaged"):
        data.download("mnist", root=tmp_path)
    assert not (tmp_path / "MNIST").exists()


def test_a_part_of_a_set_that_a_killed_download_unpacked_is_not_taken_for_all_of_it(
    mirror: Callable[..., Mirror], idx_files: dict[str, bytes], tmp_path: Path
) -> None:
    mirror()
    truncate(lay_out(tmp_path / ".mnist.part", idx_files) / "train-images-idx3-ubyte")
    assert len(data.download("mnist", root=tmp_path).x_train) == 12
