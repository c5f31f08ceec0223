"""A peer's own generation over the benchmark's prompts: `teacher_peers.py NAME BASE_URL CALLS PARALLEL`.

Runs in the interpreter where the peer is installed, imports nothing of this project, and prints one JSON line:
calls a second and CPU time a call, from the start of the peer's run to its end (start-up of Python excluded).
Each peer is set up as its documentation says for an OpenAI-compatible endpoint, with its rate limits out of the
way and as many parallel requests as the others.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL = "simulated-teacher"
PROMPT = "Come up with a task for an assistant, and make it differ from all the others. " * 12
UNLIMITED = 10_000_000


def curator(base_url: str, prompts: list[str], parallel: int, folder: str) -> Callable[[], int]:
    """bespokelabs-curator, its `openai` backend."""
    os.environ |= {"CURATOR_CACHE_DIR": folder, "OPENAI_API_KEY": "key", "TELEMETRY_ENABLED": "false"}
    os.environ |= {"CURATOR_DISABLE_RICH_DISPLAY": "1", "TIKTOKEN_CACHE_DIR": _tokenizers()}
    from bespokelabs import curator as package

    llm = package.LLM(
        model_name=MODEL,
        backend="openai",
        generation_params={"max_tokens": 64},
        backend_params={
            "base_url": base_url,
            "max_concurrent_requests": parallel,
            "max_requests_per_minute": UNLIMITED,
            "max_tokens_per_minute": UNLIMITED * 100,
        },
    )
    return lambda: len(getattr(llm(prompts), "dataset", ()))


def _tokenizers() -> str:
    """The copy of OpenAI's tokenizer that comes with litellm, so that no download is needed."""
    found = importlib.util.find_spec("litellm")
    assert found is not None and found.origin is not None
    return str(Path(found.origin).parent / "litellm_core_utils" / "tokenizers")


def data_designer(base_url: str, prompts: list[str], parallel: int, folder: str) -> Callable[[], int]:
    """NVIDIA NeMo Data Designer: one text column over the prompts as seed data."""
    os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "DATA_DESIGNER_HOME": folder}
    import data_designer.config as dd
    import pandas
    from data_designer.interface import DataDesigner

    provider = dd.ModelProvider(name="simulated", endpoint=base_url, api_key="key")
    model = dd.ModelConfig(
        alias="teacher",
        model=MODEL,
        provider="simulated",
        inference_parameters=dd.ChatCompletionInferenceParams(max_tokens=64, max_parallel_requests=parallel),
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=pandas.DataFrame({"question": prompts})))
    builder.add_column(dd.LLMTextColumnConfig(name="answer", prompt="{{ question }}", model_alias="teacher"))
    designer: Any = DataDesigner(artifact_path=folder, model_providers=[provider])
    return lambda: len(designer.create(builder, num_records=len(prompts)).load_dataset())


PEERS = {"curator": curator, "data-designer": data_designer}


def main() -> None:
    name, base_url, count, parallel = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    tag = f"{name} {time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        run = PEERS[name](base_url, [f"{PROMPT}{tag} {number}" for number in range(count)], int(parallel), folder)
        began, cpu = time.perf_counter(), time.process_time()
        answered = run()
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    if answered != count:
        raise SystemExit(f"{answered} of {count} answered")
    print()
    print(json.dumps({"calls_per_s": round(count / took, 1), "cpu_ms_per_call": round(cpu / count * 1e3, 3)}))


if __name__ == "__main__":
    main()
