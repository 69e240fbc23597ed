"""The first cell of a chapter, run as in Colab: PyTorch is there, csae is not.

A virtual environment sees the packages of this one, except csae, and installs the book from a
local clone of this repository instead of from its address.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def colab(tmp_path):
    """Python of an environment that has everything but csae."""
    library = tmp_path / "library"
    library.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "csae" not in entry.name and entry.suffix != ".pth":
            (library / entry.name).symlink_to(entry)
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    (Path(own) / "colab.pth").write_text(f"{library}\n")
    return python


@pytest.mark.skipif(sys.platform == "win32", reason="Colab is a Linux machine")
def test_first_cell_installs_the_book_and_nothing_else(colab, tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git clone to install from")
    cells = nbformat.read(ROOT / "book" / "quickstart.ipynb", as_version=4).cells
    setup = next(cell.source for cell in cells if cell.cell_type == "code")
    script = tmp_path / "setup.py"
    script.write_text(
        "import torch, numpy\n"
        "before = torch.__file__, torch.__version__, numpy.__file__\n"
        f"{setup}\n"
        "assert before == (torch.__file__, torch.__version__, numpy.__file__)\n"
        "from csae import load_dataset\n"
        "assert len(load_dataset('mnist', 'test', sample=True)) == 1000  # the sample came along\n"
        "print(csae.__file__)\n"
    )
    work = tmp_path / "content"
    work.mkdir()
    clean = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "CSAE_REPOSITORY": f"file://{ROOT}",
        # The build tool is already here: no network is needed to build the package.
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    done = subprocess.run(
        [colab, script], cwd=work, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "venv") in done.stdout.splitlines()[-1]
    own = Path(done.stdout.splitlines()[-1]).parents[1]
    installed = {p.name for p in own.glob("*.dist-info")}
    assert [name.split("-")[0] for name in installed] == ["csae"]
