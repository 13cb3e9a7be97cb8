"""`headspex prune --model llama-3.1-8b --task mmlu` from a filled cache, with the network off."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from reference_lm_eval import write_dataset

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789" * 4
SUBJECT = "high_school_us_history"


@pytest.fixture(scope="module")
def home(four_layers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face home that holds a stand-in for the model, and MMLU, as the Hub leaves them."""
    home = tmp_path_factory.mktemp("home")
    repository = home / "hub/models--meta-llama--Llama-3.1-8B"
    shutil.copytree(four_layers, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)

    def rows(part: str, count: int) -> list[dict[str, object]]:
        return [
            {"question": f"Who was {part} {n}?", "subject": SUBJECT, "answer": n % 4,
             "choices": ["fox", "owl", "bear", "None"]}
            for n in range(count)
        ]  # fmt: skip

    work = tmp_path_factory.mktemp("work")
    parts = {"test": rows("test", 50), "validation": rows("validation", 10), "dev": rows("dev", 5)}
    write_dataset(work, "cais/mmlu", {SUBJECT: parts})
    # Loaded from a folder of that name it is prepared as "mmlu"; from the Hub as "cais___mmlu".
    program = f"import datasets; datasets.load_dataset('cais/mmlu', '{SUBJECT}')"
    subprocess.run(
        [sys.executable, "-c", program], env=offline(home), cwd=work, check=True,
        capture_output=True,
    )  # fmt: skip
    (home / "datasets/mmlu").rename(home / "datasets/cais___mmlu")
    return home


def offline(home: Path) -> dict[str, str]:
    return {
        **os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1", "PYTHONPATH": str(ROOT),
        # A proxy that answers nobody: whatever tries the network fails.
        "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9",
    }  # fmt: skip


@pytest.mark.slow
def test_the_literal_command_runs_to_its_end_with_the_network_off(
    home: Path, tmp_path: Path
) -> None:
    words = f"prune --model llama-3.1-8b --task mmlu --subject {SUBJECT} --layers 1-3".split()
    program = "import sys; from headspex.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=offline(home), cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "runs/llama-3.1-8b-mmlu/run.json").read_text())
    assert run["identity"]["commit"] == COMMIT
    assert run["results"]["players"] == 12
    assert run["results"]["n_search"] + run["results"]["n_heldout"] == 60
    assert (tmp_path / "runs/llama-3.1-8b-mmlu/report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model llama-3.1-70b --task mini", "hf auth login"),
        (f"--model llama-3.1-8b --task mmlu --subject anatomy {SUBJECT}", "--data-dir"),
    ],
)
@pytest.mark.slow
def test_what_the_cache_lacks_is_said_with_the_way_out(
    home: Path, tmp_path: Path, words: str, message: str
) -> None:
    program = "import sys; from headspex.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "eval", *words.split()], env=offline(home), cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
