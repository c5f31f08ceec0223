"""What servers, gateways and models really send, after public reports: what comes out is asserted, case by case.

The kinds are those of docs/servers.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replay import ANSWER, is_task, make, message, refusal, served

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.answers import Reading, read_answer

Answer = Callable[[str], Any]


def on_answers(answer: Answer) -> Any:
    """Good instructions; what a case says where an answer is asked for."""
    return lambda request, good, number: message(good) if is_task(request) else answer(good)


def on_all(answer: Answer) -> Any:
    return lambda request, good, number: answer(good)


TAKEN_OFF: dict[str, Answer] = {
    "a think block": lambda t: message(f"<think>\nThe user wants a bird.\n</think>\n\n{t}"),
    "a closing mark alone": lambda t: message(f"Okay, a bird, and briefly.\n</think>\n\n{t}"),
    "an empty block": lambda t: message(f"<think>\n\n</think>\n\n{t}"),
    "two blocks": lambda t: message(f"<think>a</think><think>b</think>{t}"),
    "square brackets": lambda t: message(f"[THINK]Which bird?[/THINK]{t}"),
    "Kimi's marks": lambda t: message(f"◁think▷Which bird?◁/think▷{t}"),
    "channels": lambda t: message(
        f"<|channel|>analysis<|message|>A bird.<|end|><|start|>assistant<|channel|>final<|message|>{t}<|return|>"
    ),
    "channels without their marks": lambda t: message(f"analysisWe need a bird.assistantfinal{t}"),
    "Command A's marks": lambda t: message(
        f"<|START_THINKING|>A bird.<|END_THINKING|><|START_RESPONSE|>{t}<|END_RESPONSE|>"
    ),
    "a wrapped answer": lambda t: message(f"<think>A bird.</think>\n<answer>\n{t}\n</answer>"),
    "a phrase": lambda t: message(f"Here is my thought process:\nA bird.\nHere is my response:\n{t}"),
    "a turn that runs on": lambda t: message(f"{t}<|im_end|>\n<|im_start|>user\nAnd one more?<|im_end|>"),
    "an end mark as text": lambda t: message(f"{t}</s>"),
    "a mark of another template": lambda t: message(f"{t}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nMore"),
    "a role before it": lambda t: message(f"<|im_start|>assistant\n{t}"),
    "NUL": lambda t: message(f"{t}\x00"),
    "colours of a terminal": lambda t: message(f"\x1b[32m{t}\x1b[0m"),
    "text parts": lambda t: message([{"type": "text", "text": t[:9]}, {"type": "text", "text": t[9:]}]),
    "a part of thoughts": lambda t: message(
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": t}]
    ),
    "an empty refusal": lambda t: message(t, refusal=""),
    "thoughts in a field of their own": lambda t: message(t, reasoning_content="A bird, then."),
    "thoughts in a field and before the answer": lambda t: message(f"A bird, then.\n\n{t}", reasoning="A bird, then."),
    "a draft of its beginning in a field of thoughts": lambda t: message(t, reasoning=t.split()[0]),
    "no finish reason": lambda t: message(t, None),
    "another word for stop": lambda t: message(t, "end_turn"),
    "Gemini's word": lambda t: message(t, "STOP"),
    "usage in other words": lambda t: message(t, usage={"input_tokens": 5, "output_tokens": 7}),
    "a finish reason as an object": lambda t: message(t, {"type": "stop", "matched": 151645}),
    "names in camel case": lambda t: {
        "choices": [{"message": {"content": t}, "finishReason": "STOP"}],
        "usage": {"promptTokens": 5, "completionTokens": 7},
    },
    "parts of another API": lambda t: {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": t}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 7},
    },
    "a body as a string": lambda t: {"statusCode": 200, "body": json.dumps(message(t))},
    "comments that keep a connection open": lambda t: refusal(200, ": WAIT\n\n: WAIT\n\n" + json.dumps(message(t))),
    "a list of one": lambda t: [message(t)],
    "Bedrock's own": lambda t: {
        "output": {"message": {"role": "assistant", "content": [{"reasoningContent": {"text": "hm"}}, {"text": t}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 7},
    },
    "Gemini's own": lambda t: {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": t}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 3},
    },
    "Ollama's own": lambda t: {
        "message": {"role": "assistant", "content": t, "thinking": "hm"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 5,
        "eval_count": 7,
    },
    "Ollama's stream": lambda t: refusal(
        200,
        "\n".join(
            json.dumps({"message": {"role": "assistant", "content": part}, "done": not part})
            for part in (t[:9], t[9:], "")
        ),
    ),
    "llama.cpp's own": lambda t: {"content": t, "stop_type": "eos", "tokens_evaluated": 5, "tokens_predicted": 7},
    "TGI's own": lambda t: [{"generated_text": t, "details": {"finish_reason": "eos_token"}}],
    "watsonx's own": lambda t: {"results": [{"generated_text": t, "stop_reason": "eos_token"}]},
    "Titan's own": lambda t: {"results": [{"tokenCount": 7, "outputText": t, "completionReason": "FINISH"}]},
    "Llama's own on Bedrock": lambda t: {"generation": t, "stop_reason": "stop", "generation_token_count": 7},
    "Cohere's own": lambda t: {
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": t}]},
        "usage": {"tokens": {"input_tokens": 5, "output_tokens": 7}},
    },
    "DashScope's own": lambda t: {"output": {"text": t, "finish_reason": "stop"}, "usage": {"input_tokens": 5}},
    "Workers AI's own": lambda t: {"result": {"response": t, "usage": {"prompt_tokens": 5}}, "success": True},
    "Anthropic's stream": lambda t: (
        200,
        {"Content-Type": "text/event-stream"},
        "".join(
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            for event in (
                {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}},
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": t}},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
                {"type": "message_stop"},
            )
        ).encode(),
    ),
    "parts made a text of": lambda t: message(json.dumps([{"type": "text", "text": t}])),
    "a refusal of null": lambda t: message(t, refusal="null"),
    "an error that is empty": lambda t: {**message(t), "error": {"message": "", "code": None}},
    "an envelope": lambda t: {"success": True, "result": message(t)},
    "text, and not content": lambda t: {
        "choices": [{"message": {"role": "assistant", "text": t}, "finish_reason": "stop"}]
    },
    "llama.cpp before it had stop_type": lambda t: {
        "content": t,
        "stop": True,
        "stopped_eos": True,
        "stopped_limit": False,
        "tokens_predicted": 7,
    },
    "a stream of two answers": lambda t: (
        200,
        {"Content-Type": "text/event-stream"},
        "".join(
            f"data: {json.dumps({'choices': [{'index': n, 'delta': {'content': text}, 'finish_reason': 'stop'}]})}\n\n"
            for n, text in enumerate((t, "Another one."))
        ).encode()
        + b"data: [DONE]\n\n",
    ),
    "another encoding, which the server names": lambda t: (
        200,
        {"Content-Type": "application/json; charset=utf-16"},
        json.dumps(message(t)).encode("utf-16"),
    ),
    "the prompt given back before it": lambda t: message(
        f"<|im_start|>user\nWrite.<|im_end|>\n<|im_start|>assistant\n{t}<|im_end|>"
    ),
    "a stream that nobody asked for": lambda t: (
        200,
        {"Content-Type": "text/event-stream"},
        "".join(
            f"data: {json.dumps({'choices': [{'delta': {'content': part}, 'finish_reason': end}]})}\n\n"
            for part, end in ((t[:9], None), (t[9:], None), ("", "stop"))
        ).encode()
        + b"data: [DONE]\n\n",
    ),
}


@pytest.mark.parametrize("case", TAKEN_OFF)
def test_the_answer_is_found_in(case: str, tmp_path: Path) -> None:
    with served(on_answers(TAKEN_OFF[case])) as replay:
        made = make(replay, tmp_path, candidates=2)
    assert made.kept and all(text.startswith(ANSWER) and text.endswith(")") for text in made.kept), made.candidates
    assert not made.problems


def test_a_thought_from_which_the_answer_goes_on_is_part_of_it() -> None:
    for answer, thought in (("1. A tern\n2. A gull", "1. A tern"), ("A tern. It is white.", "A tern.")):
        assert read_answer(json.dumps(message(answer, reasoning=thought)), Reading()).text == answer


def test_an_answer_that_is_the_thought_again_is_none_if_it_thinks_aloud() -> None:
    for thought in ("The user wants a bird. A tern, then.", "Okay, ein Vogel.", "用户想要一只鸟。燕鸥吧。"):
        read = read_answer(json.dumps(message(thought, reasoning_content=thought)), Reading())
        assert not read.text and "reasoning without an answer" in read.error
        assert read_answer(json.dumps(message(thought)), Reading()).text == thought
    for answer in ("A tern.", "The user guide explains it.", "We must protect the sea.", "First, let it rise.",
                   "The question of will.", "Let us break bread.", "好的，明天见。", "El usuario es quien lo usa."):  # fmt: skip
        assert read_answer(json.dumps(message(answer, reasoning_content=answer)), Reading()).text == answer


def test_drafts_of_tasks_in_a_thought_are_no_tasks(tmp_path: Path) -> None:
    plan = "<think>\nTask 9: rivers, and why they flow so slowly\nTask 10: lakes, and where they lie\n</think>\n\n"
    with served(lambda r, t, n: message(plan + t if is_task(r) else t)) as replay:
        made = make(replay, tmp_path)
    assert made.kept and not made.candidates["instruction"].str.contains("rivers|lakes").any()
    assert made.usage.cleaned["reasoning"] > 0


def test_letters_of_another_encoding_are_read_if_it_is_named_and_no_answer_if_not(tmp_path: Path) -> None:
    for charset, kept in (("; charset=GBK", ["苍鹭"] * 2), ("", [])):
        raw = json.dumps(message("苍鹭"), ensure_ascii=False).encode("gbk")
        headers = {"Content-Type": f"application/json{charset}"}
        with served(on_answers(lambda t, raw=raw, headers=headers: (200, headers, raw))) as replay:
            made = make(replay, tmp_path / f"named{bool(charset)}", candidates=2)
        assert made.kept == kept


def test_what_was_cleaned_stays_raw_in_the_ledger_and_the_switch_leaves_it_on(tmp_path: Path) -> None:
    with served(on_answers(TAKEN_OFF["a think block"])) as replay:
        made = make(replay, tmp_path, candidates=2, settings={"clean_reasoning": False})
        assert all(text.startswith("<think>") for text in made.kept)
        sent = len(replay.requests)
        again = make(replay, tmp_path, candidates=2)
        assert len(replay.requests) == sent and all(text.startswith(ANSWER) for text in again.kept)


LOST: dict[str, tuple[Answer, str]] = {
    "MAX_TOKENS": (lambda t: message(t[:9], "MAX_TOKENS"), "answer cut by length"),
    "model_length": (lambda t: message(t[:9], "model_length"), "answer cut by length"),
    "max_output_tokens": (lambda t: message(t[:9], "max_output_tokens"), "answer cut by length"),
    "a limit as an object": (lambda t: message(t[:9], {"type": "length"}), "answer cut by length"),
    "a limit under another name": (
        lambda t: {"choices": [{"message": {"content": t[:9]}, "native_finish_reason": "MAX_TOKENS"}]},
        "answer cut by length",
    ),
    "a router that calls it whole": (
        lambda t: {
            "choices": [{"message": {"content": t[:9]}, "finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}]
        },
        "answer cut by length",
    ),
    "a limit of Ollama": (
        lambda t: {"message": {"role": "assistant", "content": t[:9]}, "done": True, "done_reason": "length"},
        "answer cut by length",
    ),
    "a limit of TGI": (
        lambda t: [{"generated_text": t[:9], "details": {"finish_reason": "length", "generated_tokens": 7}}],
        "answer cut by length",
    ),
    "a limit of llama.cpp before it had stop_type": (
        lambda t: {"content": t[:9], "stop": True, "stopped_eos": False, "stopped_limit": True, "tokens_predicted": 7},
        "answer cut by length",
    ),
    "a limit of Baidu": (lambda t: {"result": t[:9], "is_truncated": True, "usage": {}}, "answer cut by length"),
    "a blacklist": (
        lambda t: message("I would rather speak of rivers.", "blacklist"),
        "teacher refused: content_policy",
    ),
    "a refusal of the Responses API": (
        lambda t: {
            "object": "response",
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "I will not."}]}],
        },
        "teacher refused: content_policy",
    ),
    "a refusal beside an empty answer": (
        lambda t: {**message(""), "base_resp": {"status_code": 1027, "status_msg": "output new_sensitive"}},
        "teacher refused: content_policy",
    ),
    "blocked before it began": (
        lambda t: {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
        "teacher refused: content_policy",
    ),
    "sensitive": (lambda t: message(t[:9], "sensitive"), "teacher refused: content_policy"),
    "SAFETY": (lambda t: message("", "SAFETY"), "teacher refused: content_policy"),
    "a refusal with words": (lambda t: message(None, refusal="I will not."), "teacher refused: content_policy"),
    "Content Exists Risk": (
        lambda t: refusal(400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}),
        "teacher refused: content_policy",
    ),
    "data_inspection_failed": (
        lambda t: refusal(400, {"code": "data_inspection_failed", "message": "Output may contain bad content."}),
        "teacher refused: content_policy",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_no_half_and_no_refused_answer_is_kept_after(case: str, tmp_path: Path) -> None:
    answer, problem = LOST[case]
    with served(on_answers(answer)) as replay:
        made = make(replay, tmp_path, candidates=2)
    assert not made.kept and made.problems and all(p.startswith(problem) for p in made.problems)


ASKED_AGAIN: dict[str, Answer] = {
    "an error in the choice": lambda t: message(t[:9], "error"),
    "an error beside the choice": lambda t: {
        **message(t[:9], None),
        "choices": [{"index": 0, "message": {"content": t[:9]}, "error": {"code": 502, "message": "upstream ended"}}],
    },
    "a network error": lambda t: message(t[:9], "network_error"),
    "an error with the status of a success": lambda t: {"error": "model runner has unexpectedly stopped"},
    "a page of HTML": lambda t: refusal(200, "<html><title>One moment</title></html>"),
    "a stream that broke off": lambda t: refusal(
        200, f"data: {json.dumps({'choices': [{'delta': {'content': t[:9]}}]})}\n\n"
    ),
    "a stream with an error": lambda t: refusal(
        200, f'data: {json.dumps({"choices": [{"delta": {"content": t[:9]}}]})}\n\ndata: {{"error": "gone"}}\n\n'
    ),
    "a stream of Ollama that broke off": lambda t: {"message": {"role": "assistant", "content": t[:9]}, "done": False},
    "half a body": lambda t: refusal(200, json.dumps(message(t))[:80]),
    "no message": lambda t: {"choices": [{"index": 0, "message": None, "finish_reason": None}]},
    "no choices": lambda t: {"id": "x", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}},
}


@pytest.mark.parametrize("case", ASKED_AGAIN)
def test_what_passes_is_asked_again(case: str, tmp_path: Path) -> None:
    failed: set[str] = set()

    def once(request: Any, good: str, number: int) -> Any:
        key = json.dumps(request)
        if is_task(request) or key in failed:
            return message(good)
        failed.add(key)
        return ASKED_AGAIN[case](good)

    with served(once) as replay:
        made = make(replay, tmp_path, candidates=2)
    assert made.kept and failed and all(text.startswith(ANSWER) for text in made.kept)


NO_ANSWERS = {
    "a remark of a model about itself": "As an AI language model, I have no access to birds, so I cannot tell.",
    "an apology": "I'm sorry, but I can't help with that request.",
    "an inability": "I am unable to complete this task because it needs a camera.",
    "in German": "Es tut mir leid, aber ich kann diese Frage nicht beantworten.",
    "in Chinese": "抱歉，我无法回答这个问题。",
    "in Spanish": "Lo siento, no puedo ayudar con eso.",
    "in Japanese": "申し訳ありませんが、その質問にはお答えできません。",
    "in Arabic": "عذراً، لا أستطيع المساعدة في ذلك.",
    "nooutput": "nooutput",
    "brackets": "[No output]",
    "N/A": "N/A",
    "dots": "...",
    "in French": "Aucune réponse",
}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_an_answer_that_is_none_is_rejected_by_name(case: str, tmp_path: Path) -> None:
    with served(on_answers(lambda t: message(NO_ANSWERS[case]))) as replay:
        made = make(replay, tmp_path, candidates=2)
    assert not made.kept and set(made.rejected["rule"]) <= {"refusal", "placeholder"}


def test_answers_that_only_begin_like_refusals_are_kept(tmp_path: Path) -> None:
    texts = ("Sorry is the hardest word, and a good title.", "No output of the mine was lost.", "N/A/B is a code.")
    with served(on_answers(lambda t: message(f"{texts[len(t) % 3]} {t}"))) as replay:
        made = make(replay, tmp_path)
    assert made.kept and not made.rejected.height


def test_one_answer_to_many_tasks_is_noticed(tmp_path: Path) -> None:
    with served(on_answers(lambda t: message("Birds are lovely creatures of the air."))) as replay:
        made = make(replay, tmp_path, candidates=10)
    assert not made.kept and set(made.rejected["rule"]) == {"repeated_output"}


def test_a_special_token_of_the_student_that_is_spoken_of_is_rejected_by_its_name(tmp_path: Path) -> None:
    with served(on_answers(lambda t: message(f"The mark `<|im_end|>` ends it. {t}"))) as replay:
        made = make(replay, tmp_path, candidates=2)
    assert set(made.rejected.select("rule", "neighbour").rows()) == {("special_token", "<|im_end|>")}


LABELS = {
    "behind a list mark": "9. **Instruction:** Name two rivers of the north.\n   - **Input:** N/A\n"
    "10. **Instruction:** Say what this is about.\n   - **Input:** The harbour opened late.\n",
    "within the line": "Task 9: Name two rivers of the north. Input: <noinput>\n"
    "Task 10: Say what this is about. Input: The harbour opened late.\n",
    "with closing talk": "Task 9: Name two rivers of the north.\n  * Input: <noinput>\n\nTask 10: Say what this is "
    "about.\n  * Input: The harbour opened late.\n\nWould you like me to write more of these?",
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_end_in_no_instruction(case: str, tmp_path: Path) -> None:
    with served(lambda r, t, n: message(LABELS[case] if is_task(r) else t)) as replay:
        made = make(replay, tmp_path, candidates=2)
    tasks = set(made.candidates.select("instruction", "input").rows())
    assert tasks == {("Name two rivers of the north.", ""), ("Say what this is about.", "The harbour opened late.")}


USELESS: dict[str, tuple[Answer, str, str]] = {
    "thoughts that use up the limit": (
        lambda t: message(None, "length", reasoning_content="first I consider"),
        "calls in a row",
        "SEDI_TEACHER_REASONING_TOKENS",
    ),
    "a thought that is cut": (lambda t: message("<think>\nfirst", "length"), "does not end", "REASONING_TOKENS"),
    "an unknown end": (lambda t: message(t, "zonk"), "zonk", "SEDI_TEACHER_FINISH_REASONS"),
    "a sign-in page": (lambda t: refusal(200, "<html><title>Sign in</title></html>"), "Sign in", "BASE_URL"),
    "a context that is too small": (
        lambda t: refusal(
            400, {"error": {"message": "'max_tokens' is too large: 200. Maximum context length is 128.", "code": 400}}
        ),
        "128",
        "larger context",
    ),
    "a list of details": (
        lambda t: refusal(422, {"detail": [{"loc": ["body", "messages"], "msg": "conversation roles must alternate"}]}),
        "roles must alternate",
        "SEDI_TEACHER_",
    ),
    "a detail": (lambda t: refusal(400, {"detail": "Stream must be set to true"}), "Stream must be set", "SEDI_"),
    "a list of errors": (
        lambda t: refusal(400, {"errors": [{"message": "No route for that URI"}]}),
        "No route",
        "SEDI_",
    ),
    "a bad key": (
        lambda t: refusal(400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID"}}]),
        "does not accept the key",
        "SEDI_TEACHER_API_KEY",
    ),
    "a bad key with the status of a success": (
        lambda t: {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail: no API secret key"}},
        "does not accept the key",
        "SEDI_TEACHER_API_KEY",
    ),
    "spent money in a head, with the status of a success": (
        lambda t: {"header": {"code": 11200, "message": "insufficient balance", "sid": "x", "status": 2}},
        "The quota",
        "Add credit",
    ),
    "a bad key under another name, with the status of a success": (
        lambda t: {"status_code": 50001, "status_message": "Invalid API key"},
        "does not accept the key",
        "SEDI_TEACHER_API_KEY",
    ),
    "a model that is not there, with the status of a success": (
        lambda t: {"code": 1211, "msg": "模型不存在"},
        "does not know the model",
        "SEDI_TEACHER_MODEL",
    ),
    "answers taken for thoughts": (
        lambda t: message(None, "stop", reasoning_content=t),
        "reasoning without an answer",
        "reasoning parser",
    ),
    "a wait of a day": (
        lambda t: refusal(429, {"error": {"message": "requests per day"}}, Retry_After="86340"),
        "asks to wait until",
        "SEDI_TEACHER_PATIENCE_S",
    ),
    "a busy server that asks for a day": (
        lambda t: refusal(503, {"error": {"message": "model is loading"}}, Retry_After="86340"),
        "asks to wait until",
        "SEDI_TEACHER_PATIENCE_S",
    ),
}


@pytest.mark.parametrize("case", USELESS)
def test_a_fault_of_the_endpoint_is_one_error_costs_nothing_for_good_and_is_asked_again(
    case: str, tmp_path: Path
) -> None:
    answer, problem, fix = USELESS[case]
    with served(on_all(answer)) as replay:
        with pytest.raises(TeacherError) as stopped:
            make(replay, tmp_path, candidates=40)
        assert problem in stopped.value.problem and fix in stopped.value.fix, stopped.value
        assert len(replay.requests) < 40
        replay.respond = on_all(message)
        made = make(replay, tmp_path, candidates=4)
    assert made.kept and not made.problems


def test_a_category_with_a_single_call_that_fails_is_an_error_too(tmp_path: Path) -> None:
    text = r"None of the \d+ calls for brainstorming|calls in a row"
    nothing = on_all(lambda t: message(None, "length", reasoning_content="hm"))
    with served(nothing) as replay, pytest.raises(TeacherError, match=text):
        make(replay, tmp_path, candidates=1)


REFUSED = {
    "listed": (
        lambda names: refusal(400, {"error": {"message": f"Unrecognized request arguments supplied: {names}"}}),
        "seed",
    ),
    "by FastAPI": (
        lambda names: refusal(422, {"detail": [{"loc": ["body", names], "msg": "Extra inputs are not permitted"}]}),
        "seed",
    ),
    "as param": (
        lambda names: refusal(
            400, {"error": {"message": "Unsupported parameter.", "param": names, "code": "unsupported"}}
        ),
        "top_p",
    ),
    "by Go": (lambda names: refusal(400, f'json: unknown field "{names}"'), "top_p"),
    "by LiteLLM": (
        lambda names: refusal(400, {"error": {"message": f"x does not support parameters: ['{names}'], for model=y"}}),
        "temperature",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_parameter_that_is_refused_is_left_out_told_once_and_remembered(case: str, tmp_path: Path) -> None:
    refuse, name = REFUSED[case]

    def respond(request: Any, good: str, number: int) -> Any:
        return refuse(name) if name in request else message(good)

    with served(respond) as replay:
        made = make(replay, tmp_path)
        assert made.kept and len(made.usage.notes) == 1 and name in made.usage.notes[0]
        count = len(replay.requests)
        made = make(replay, tmp_path, candidates=20)
        assert made.kept and not made.usage.notes and not any(name in r for r in replay.requests[count:])


def test_calls_that_were_out_when_a_parameter_was_found_out_are_sent_again_too(tmp_path: Path) -> None:
    out, several = [], threading.Event()

    def respond(request: Any, good: str, number: int) -> Any:
        if "seed" not in request:
            return message(good)
        out.append(number)
        if len(out) > 1:
            several.set()
        several.wait(60.0)
        return refusal(400, {"error": {"message": "Unrecognized request argument supplied: seed"}})

    with served(respond) as replay:
        made = make(replay, tmp_path, candidates=30)
    assert sum("seed" in request for request in replay.requests) > 1
    assert made.kept and not made.problems and len(made.usage.notes) == 1


def test_what_is_null_in_the_extra_body_is_left_out_and_headers_and_query_are_sent(tmp_path: Path) -> None:
    settings = {
        "extra_body": {"seed": None, "top_p": None, "top_k": 5},
        "headers": {"api-key": "a-secret-of-the-gateway"},
        "query": {"api-version": "2024-10-21"},
    }
    with served(on_all(message)) as replay:
        assert make(replay, tmp_path, settings=settings).kept
    assert all("seed" not in r and "top_p" not in r and r["top_k"] == 5 for r in replay.requests)
    assert all(h["api-key"] == "a-secret-of-the-gateway" for h in replay.headers)
    assert all(path.endswith("?api-version=2024-10-21") for path in replay.paths)


@pytest.mark.parametrize(
    "models", [["model-a-2026-10-01"], ["maker/popular"], ["openai/*", "anthropic/*"], ["maker/model-a"]]
)
def test_a_model_that_is_not_listed_is_asked_a_word(models: list[str], tmp_path: Path) -> None:
    with served(on_all(message), models=models) as replay:
        made = make(replay, tmp_path, check=True)
    assert made.kept and "does not list the model 'model-a'" in made.usage.notes[0]


LISTINGS: dict[str, Any] = {
    "Ollama's": {"models": [{"name": "model-a:latest"}]},
    "Gemini's": {"data": [{"id": "models/model-a"}]},
    "a bare list": [{"id": "model-b"}],
    "plain names": {"data": ["model-b"]},
    "nothing": {"object": "list", "data": None},
    "no list": {"error": "no such path"},
    "a page": refusal(200, "<html><title>A console</title></html>"),
    "not found": refusal(404, "404 page not found"),
    "a broken route": refusal(500, {"error": "x"}),
    "asked too fast": refusal(429, {"error": {"message": "slow down"}}),
    "still loading": refusal(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}),
    "a key for calls alone": refusal(403, {"error": {"message": "Missing scopes: api.model.read"}}),
    "another key": refusal(401, {"error": {"message": "Unauthorized"}}),
    "no model named": refusal(400, {"error": {"message": "model parameter is required"}}),
}


@pytest.mark.parametrize("case", LISTINGS)
def test_a_list_of_models_that_is_none_decides_nothing(case: str, tmp_path: Path) -> None:
    with served(on_all(message), listing=LISTINGS[case]) as replay:
        made = make(replay, tmp_path, candidates=2, check=True)
    assert made.kept and all("but it answers calls to it" in note for note in made.usage.notes)
    quiet = ("Ollama's", "Gemini's", "nothing", "no list", "not found", "asked too fast", "still loading")
    assert bool(made.usage.notes) == (case not in quiet)


def test_a_sign_in_page_for_the_list_and_the_call_is_one_error(tmp_path: Path) -> None:
    page = refusal(200, "<html><title>Sign in</title></html>")
    with served(lambda r, t, n: page, listing=page) as replay, pytest.raises(TeacherError, match="Sign in"):
        make(replay, tmp_path, check=True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_for_the_list_and_the_call_is_one_error(status: int, tmp_path: Path) -> None:
    bad = refusal(status, {"error": {"message": "Incorrect API key provided"}})
    with served(lambda r, t, n: bad, listing=bad) as replay:
        with pytest.raises(TeacherError, match="does not accept the key"):
            make(replay, tmp_path, check=True)
        assert len(replay.requests) == 1


def refusing(*rules: tuple[str, Callable[[Any], bool]]) -> Any:
    """An endpoint whose model takes some parameters only: (what it says, of which requests)."""

    def respond(request: Any, good: str, number: int) -> Any:
        found = next((says for says, refuses in rules if refuses(request)), None)
        return message(good) if found is None else refusal(400, {"error": {"message": found}})

    return respond


NAMED_MODELS = {
    "one that thinks": (
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", lambda r: "max_tokens" in r),
        ("'temperature' does not support 0.7. Only the default (1) is supported.", lambda r: "temperature" in r),
        ("Unsupported parameter: 'top_p' is not supported with this model.", lambda r: "top_p" in r),
        ("Unrecognized request argument supplied: seed", lambda r: "seed" in r),
    ),
    "one of either": (
        (
            "`temperature` and `top_p` cannot both be specified. Use only one.",
            lambda r: {"temperature", "top_p"} <= r.keys(),
        ),
        ("Malformed input request: #: extraneous key [seed] is not permitted.", lambda r: "seed" in r),
    ),
    "one without sampling": (
        ("temperature is deprecated for this model.", lambda r: "temperature" in r),
        ("top_p is deprecated for this model.", lambda r: "top_p" in r),
    ),
    "one of a fixed temperature": (
        ("invalid temperature: only 1 is allowed for this model", lambda r: r.get("temperature", 1) != 1),
    ),
    "one that takes other efforts": (
        ("`reasoning_effort` must be one of `low`, `medium`, or `high`", lambda r: "reasoning_effort" in r),
    ),
}


@pytest.mark.parametrize("case", NAMED_MODELS)
def test_what_a_model_takes_is_learnt_from_it_and_not_from_its_name(case: str, tmp_path: Path) -> None:
    rules = NAMED_MODELS[case]
    with served(refusing(*rules)) as replay:
        made = make(replay, tmp_path, candidates=4, settings={"extra_body": {"reasoning_effort": "none"}})
    assert made.kept and not made.problems
    assert not any(refuses(replay.requests[-1]) for _, refuses in rules)
    assert {"max_tokens", "max_completion_tokens"} & replay.requests[-1].keys()


def test_a_model_that_is_not_there_is_refused_before_anything_else_is_asked(tmp_path: Path) -> None:
    unknown = refusal(404, {"error": {"message": "The model `model-a` does not exist", "code": "model_not_found"}})
    with served(lambda r, t, n: unknown, models=["model-b"]) as replay:
        with pytest.raises(TeacherError, match="does not know the model") as stopped:
            make(replay, tmp_path, check=True)
        assert "model-b" in stopped.value.fix and len(replay.requests) == 1
