"""What models write besides an answer, family by family and language by language: what comes off, and what stays."""

from __future__ import annotations

import json

import polars as pl
import pytest

from sedi_dagster.filtering.answer_rules import AnswerForm, answer_rules
from sedi_dagster.filtering.rules import first_broken
from sedi_dagster.texts.cleaning import GARBLED, TOOL_CALL, UNDECODED, clean
from sedi_dagster.texts.endings import ending_of
from sedi_dagster.texts.refusals import are_refusals, is_placeholder, is_refusal

T = "A grey heron stands in the shallow water."

REASONING = {
    "deepseek r1 no open": f"Okay so the user wants.\nI'd say heron.\n</think>\n{T}",
    "qwen with space": f"<think >\nhm\n</ think>\n{T}",
    "upper": f"<THINK>hm</THINK>{T}",
    "minimax": f"<think>\nhm\n</think>\n\n{T}",
    "exaone thought": f"<thought>\nhm\n</thought>\n{T}",
    "gemma thought": f"<|channel>thought\nhm<channel|>{T}",
    "hunyuan": f"<think>\nhm\n</think>\n<answer>\n{T}\n</answer>",
    "seed-oss": f"<seed:think>hm<seed:cot_budget_reflect>used 10</seed:cot_budget_reflect></seed:think>{T}",
    "glm": f"<think>hm</think>{T}",
    "glm box": f"<think>hm</think><|begin_of_box|>{T}<|end_of_box|>",
    "nemotron": f"<think>hm</think>\n\n{T}",
    "phi4": f"<think>hm</think>{T}<|im_end|>",
    "magistral old": f"<think>hm</think>\n{T}",
    "mistral [THINK]": f"[THINK]hm[/THINK]{T}</s>",
    "lone [/THINK]": f"hm hm[/THINK]{T}",
    "granite": f"Here is my thought process:\nhm\n\nHere is my response:\n{T}",
    "granite 3.3": f"<think>hm</think><response>{T}</response>",
    "granite 3.3b": f"<think>hm</think>\n\n<response>\n{T}\n",
    "openthinker": f"<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>{T}<|end_of_solution|>",
    "apriel": f"Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\n{T}\n[END FINAL RESPONSE]",
    "apriel2": f"hm, a bird\n[BEGIN FINAL RESPONSE]\n{T}\n<|end|>",
    "reflection 70b": f"<thinking>hm</thinking>\n<output>{T}</output>",
    "llama nemotron": f"<think>\n\n</think>\n{T}",
    "marco-o1": f"<Thought>\nhm\n</Thought>\n<Output>\n{T}\n</Output>",
    "qwq": f"Alright, bird.\n</think>\n\n{T}",
    "cogito": f"<think>\nhm\n</think>\n\n{T}",
    "ernie": f"<think>\nhm\n</think>\n\n<response>\n{T}\n</response>\n",
    "internlm": f"<think>hm</think>{T}",
    "kimi lone": f"hm◁/think▷{T}",
    "cohere": f"<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{T}<|END_RESPONSE|>",
    "cohere lone": f"hm<|END_THINKING|><|START_RESPONSE|>{T}<|END_RESPONSE|>",
    "gpt-oss lone final": f"We need.<|end|><|start|>assistant<|channel|>final<|message|>{T}",
    "gpt-oss no special": f"analysisUser wants.assistantfinal{T}",
    "gpt-oss channel commentary then final": f"<|channel|>commentary<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>{T}",
    "gpt-oss final only": f"<|channel|>final<|message|>{T}<|return|>",
    "escaped": f"&lt;think&gt;hm&lt;/think&gt;\n{T}",
    "cn": f"<思考>嗯</思考>{T}",
    "cn bracket": f"【思考】\n用户想要鸟。\n【回答】\n{T}",
    "solar": f"<|think|>hm<|end|><|begin|>assistant<|content|>{T}",
    "hcx": f"<|im_start|>assistant/think\nhm<|im_end|>\n<|im_start|>assistant\n{T}<|im_end|>",
    "details": f'<details type="reasoning" done="true"><summary>Thought for 2 s</summary>\n> hm\n</details>\n{T}',
    "details plain": f"<details>\n<summary>Thinking...</summary>\nhm\n</details>\n\n{T}",
    "blockquote": f"> **Thinking**\n> hm\n> more\n\n{T}",
    "poe": f"*Thinking...*\n> hm\n> more\n\n{T}",
    "poe with a blank line": f"*Thinking...*\n\n> hm\n>\n> more\n\n{T}",
    "an emoji before it": f"💭 **Thinking**\n> hm\n\n{T}",
    "ollama cli with an emoji": f"🤔 Thinking...\nhm\n...done thinking.\n\n{T}",
    "s1": f"<|im_start|>think\nhm<|im_end|>\n<|im_start|>answer\n{T}<|im_end|>",
    "s1 without its marks": f"think\nhm\nanswer\nAnswer: {T}",
    "gemma's channel without a name": f"<|channel>\nhm\n<channel|>\n{T}",
    "md heading": f"### Reasoning\nhm\n### Answer\n{T}",
    "claude antml": f"<thinking>hm</thinking>{T}",
    "anthropic thinking": f"<thinking>\nhm\n</thinking>\n\n{T}",
    "ollama cli": f"Thinking...\nhm hm\n...done thinking.\n\n{T}",
    "nbsp": f"\u200b<think>hm</think>{T}",
    "attr": f'<think time="3">hm</think>{T}',
    "reasoning tags": f"<reasoning>hm</reasoning>\n{T}",
    "analysis tags": f"<analysis>hm</analysis>\n{T}",
    "plan": f"<planning>hm</planning>{T}",
    "inner": f"<inner_monologue>hm</inner_monologue>{T}",
    "dots": f"<think>hm</think><think>hm2</think>{T}",
    "nested": f"<think>a <think>b</think> c</think>{T}",
    "step": f"<|thought_start|>hm<|thought_end|>{T}",
    "thinking_mask": f"<thinking_mask>\nhm\n</thinking_mask>{T}",
    "longcat": f"<longcat_think>hm</longcat_think>{T}",
    "ling": f"<think>hm</think>\n{T}<|role_end|>",
    "gemma3n": f"<unused94>thought\nhm<unused95>{T}",
    "german": f"<denken>hm</denken>{T}",
    "spanish": f"<pensamiento>hm</pensamiento>{T}",
    "japanese": f"<思考過程>hm</思考過程>{T}",
    "korean": f"<생각>hm</생각>{T}",
    "thai": f"<คิด>hm</คิด>{T}",
    "arabic": f"<تفكير>hm</تفكير>{T}",
    "gpt-oss form in the header": f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{T}",
    "gpt-oss lower case behind it": f"analysisWe need a bird.assistantfinal{T}",
    "gpt-oss with colons": f"analysis: a bird. assistantfinal: {T}",
    "gpt-oss three channels": f"analysisWe need.assistantcommentarya planassistantfinal{T}",
    "ernie with its end": f"<think>hm</think><response>{T}</response><|end_of_sentence|>",
    "full width": f"＜think＞hm＜/think＞{T}",
    "escaped as in JSON": f"\\u003cthink\\u003ehm\\u003c/think\\u003e{T}",
    "unseen characters before it": f"\u200b\u2060<think>hm</think>{T}",
    "the answer's tag alone": f"hm</think>{T}</answer>",
    "a block that is its own end": f"<think />\n{T}",
    "a role before the block": f"assistant\n<think>hm</think>{T}",
    "a role as a label before it": f"Assistant: <think>hm</think>{T}",
    "a switch echoed": f"/no_think\n<think>\n\n</think>\n\n{T}",
    "granite, contracted": f"Here's my thought process:\nhm\n\nHere's my response:\n{T}",
    "granite in bold": f"**Here is my thought process:**\nhm\n\n**Here is my response:**\n{T}",
    "an agent's": f"Thought: Do I need a tool? No.\nFinal Answer: {T}",
    "labels in bold": f"**Thinking:**\nhm\n\n**Answer:** {T}",
    "labels in bold, colon outside": f"**Thought process**: hm\n\n**Answer**:\n{T}",
    "labels without bold": f"Thinking: hm\nhm\nResponse: {T}",
    "a chat window's heading": f"Thought for 12 seconds\n\n{T}",
    "chinese label": f"思考过程：\n用户想要鸟。\n\n回答：\n{T}",
    "korean bracket": f"[생각]\n새.\n[답변]\n{T}",
    "reason": f"<reason>hm</reason>\n{T}",
    "plan, then an answer's tag": f"<plan>hm</plan>\n<answer>{T}</answer>",
    "russian": f"<размышления>хм</размышления>{T}",
    "turkish": f"<düşünme>hm</düşünme>{T}",
    "polish": f"<myślenie>hm</myślenie>{T}",
    "hebrew": f"<מחשבה>hm</מחשבה>{T}",
    "portuguese": f"<pensamento>hm</pensamento>{T}",
    "french": f"<réflexion>hm</réflexion>{T}",
}

MARKS = {
    "im_end": f"{T}<|im_end|>",
    "llama2": f"{T} </s>",
    "llama2 inst": f"{T} [/INST]",
    "inst run": f"{T} </s><s>[INST] More [/INST]",
    "gemma": f"{T}<end_of_turn>\n<start_of_turn>user\nx",
    "eot": f"{T}<|eot_id|>",
    "endoftext": f"{T}<|endoftext|>Human: hi",
    "phi": f"{T}<|end|>\n<|user|>\nx",
    "deepseek": f"{T}<｜end▁of▁sentence｜>",
    "deepseek role": f"{T}<｜User｜>x",
    "command": f"{T}<|END_OF_TURN_TOKEN|>",
    "role_end": f"{T}<|role_end|>",
    "baichuan": f"{T}<reserved_106>more",
    "internlm": f"{T}<eoa>",
    "chatglm": f"{T}<|user|>\nmore",
    "chatglm gmask": f"[gMASK]<sop><|assistant|>\n{T}",
    "pad": f"{T}<pad><pad>",
    "unk": f"{T}<unk>",
    "bert": f"{T}[SEP]",
    "t5": f"<pad> {T}</s>",
    "extra": f"{T}<extra_id_0>",
    "bart": f"<s>{T}</s>",
    "mistral": f"{T}[/INST]",
    "mistral3": f"{T}</s>[AVAILABLE_TOOLS]",
    "zephyr": f"<|assistant|>\n{T}</s>",
    "starchat": f"{T}<|end|>",
    "falcon": f"{T}<|endoftext|>",
    "vicuna": f"{T}</s>USER: more",
    "alpaca": f"{T}\n\n### Instruction:\nMore",
    "oasst": f"{T}<|endoftext|><|prompter|>more",
    "yi": f"{T}<|im_end|>",
    "reserved": f"{T}<|reserved_special_token_0|>",
    "minicpm": f"{T}<用户>more",
    "minimax": f"{T}[e~[",
    "minimax2": f"]~b]ai\n{T}[e~[",
    "hunyuan": f"{T}<｜hy_eos｜>",
    "hunyuan2": f"{T}<|eos|>",
    "exaone": f"{T}[|endofturn|]",
    "exaone run": f"{T}[|endofturn|]\n[|user|]more",
    "solar": f"{T}<|return|>",
    "kimi": f"{T}<|im_end|><|im_user|>user<|im_middle|>more",
    "grok": f"{T}<|separator|>",
    "granite": f"{T}<|end_of_text|>",
    "jamba": f"{T}<|eom|>",
    "ernie": f"{T}<|end_of_sentence|>",
    "seed": f"{T}<seed:eos>",
    "seed bos": f"<seed:bos>assistant\n{T}<seed:eos>",
    "gpt2 nul": f"{T}\u0000",
    "zero width bom": f"\ufeff{T}",
    "bell": f"{T}\x07",
    "backspace": "A grey\x08 heron stands in the shallow water.",
    "esc": f"\x1b[1;31m{T}\x1b[0m",
    "c1": f"{T}\x9c",
    "vt": f"{T}\x0b",
    "u2028": f"{T}",
    "interlinear": f"{T}\ufffa",
    "tag chars": f"{T}\U000e0041\U000e007f",
    "bidi": f"{T}\u202e",
    "noncharacter": f"{T}\ufdd0",
    "byte fallback": f"{T}<0x0A>",
    "leading newline tokens": "A grey heron stands in the shallow water.<0x0A>",
    "eos upper": f"{T}<EOS>",
    "eos sq": f"{T}[EOS]",
    "turn": f"{T}<turn|>",
    "gemma4": f"<|turn>model\n{T}<turn|>",
    "apertus": f"{T}<|assistant_end|>",
    "smol": f"{T}<|im_end|>\n<empty_output>",
    "blanks around it": f"{T} <|im_end|> ",
    "half a mark": f"{T}<|im_end",
    "a turn on the next line": f"{T}\n<|im_start|>user\nmore",
    "vicuna in one line": f"{T} USER: more ASSISTANT: more",
    "guanaco in one line": f"{T}### Human: more",
    "dolly": f"{T}\n\n### End",
    "gpt4all": f"{T}\n### Prompt:\nmore",
    "alpaca in one line": f"{T}\n### Instruction: More",
    "alpaca with an input": f"{T}\n\n### Input:\nmore\n\n### Response:\nmore",
    "claude 2": f"{T}\n\nHuman: And one more?\n\nAssistant: A gull.",
    "llama 3 without its marks": f"{T}assistant\n\nAnd one more.",
    "llama 3's header": f"assistant\n\n{T}",
    "a role as a label": f"Assistant: {T}",
    "a heading of the template": f"### Response:\n{T}",
    "the answer's tag": f"{T}\n</answer>",
    "special": f"<SPECIAL_12>{T}",
    "longcat's end": f"{T}</longcat_s>",
    "minimax's next turn": f"{T}\n]~b]user\nmore",
    "smolvlm's end": f"{T}<end_of_utterance>",
    "yuan's end": f"{T}<eod>",
    "the assistant's tag": f"{T}\n</assistant>",
    "a switch behind it": f"{T} /no_think",
    "minimax's call": f"{T}]<]minimax[>[</tool_call>",
    "the end of a call alone": f"{T}\n</tool_call>",
    "llama 2's next turn in its line": f"{T} [INST] And one more? [/INST] A gull.",
    "ring": f"<role>ASSISTANT</role>{T}",
    "mistral's tools": f"{T}[TOOL_CALLS]",
    "starcoder's files": f"{T}<|endoftext|><filename>a.py",
    "references": f"{T}\ue200cite\ue202turn0search0\ue201",
    "references to a file": f"{T}【4:0†source】",
    "olmo": f"<|assistant|>\n{T}<|endoftext|>",
    "pangu": f"{T}[unused10]",
    "jais": f"{T}\n[|Human|] more\n[|AI|] x",
    "human of a base model": f"{T}\nHuman: more\nAssistant: x",
    "redpajama": f"<bot>: {T}\n<human>: more",
    "chinese roles": f"助手：{T}\n\n用户：more\n\n助手：x",
    "alpaca in chinese": f"{T}\n\n### 指令：\nmore",
    "alpaca in japanese": f"### 応答:\n{T}\n\n### 指示:\nmore",
    "alpaca in korean": f"### 답변: {T}\n\n### 질문: more",
    "dolly's end and more": f"### Response:\n{T}\n\n### End\n### Instruction",
    "a stop sequence left over": f"{T}\n###",
    "escaped for HTML": f"{T}&lt;|im_end|&gt;",
    "blanks inside": f"{T}<| im_end |>",
    "half a mark of gemma": f"{T}<end_of_turn",
    "without its pipe": f"{T}|im_end|>",
    "[END]": f"{T}\n[END]",
    "llama.cpp's end": f"{T} [end of text]",
    "a switch before it": f"/no_think\n{T}",
    "the prompt before it": f"<|im_start|>user\nWrite.<|im_end|>\n<|im_start|>assistant\n{T}<|im_end|>",
    "the prompt before it, llama 2": f"<s>[INST] <<SYS>>\nYou help.\n<</SYS>>\n\nWrite. [/INST] {T} </s>",
    "the prompt before it, gemma": f"<start_of_turn>user\nWrite.<end_of_turn>\n<start_of_turn>model\n{T}<end_of_turn>",
    "a reference without its marks": f"{T} citeturn0search0",
    "a reference of an export": f"{T} :contentReference[oaicite:0]{{index=0}}",
}


@pytest.mark.parametrize("case", [*REASONING.items(), *MARKS.items()], ids=lambda case: case[0])
def test_the_answer_alone_is_left_of(case: tuple[str, str]) -> None:
    assert clean(case[1]).text.strip() == T


@pytest.mark.parametrize("answer", [f"<think>hm</think>\n{T}", f"[THINK]hm[/THINK]{T}", f"{T}</s>", f"{T}<|im_end|>"])
def test_values_in_json_are_cleaned_as_answers_are(answer: str) -> None:
    for made in ({"output": answer}, {"examples": [{"instruction": "Describe it.", "output": answer}]}):
        text = json.dumps(made)
        assert clean(text).text == text.replace(json.dumps(answer)[1:-1], T) and clean(text).applied
        assert clean(text, frozenset()).text == text


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nhm",
        "◁think▷hm",
        "[THINK]hm",
        "<|START_THINKING|>hm",
        "<|channel|>analysis<|message|>hm",
        "x\n<think>\nhm",
        "<reasoning>\nhm",
        "<|begin_of_thought|>hm",
        "<seed:think>x",
        "analysisWe need to answer. The answer is four.",
        "Thinking Process:\n\n1.  **Analyze the Request:** A bird.\n2.  **Draft:** A heron.",
        "A heron.\n<think>Did I answer",
    ],
)
def test_reasoning_that_does_not_end_is_no_answer(text: str) -> None:
    assert clean(text).problem


@pytest.mark.parametrize(
    "text",
    [
        f"{T}",
        "In HTML, `<think>` is no tag. </b>",
        'Use the </think> tag? The text "</think>" ends it.',
        "Analysis of the text: it's fine.",
        "analysis is a process",
        "Thinking about birds is fun.",
        "# Reasoning\nWe see A.\n# Conclusion\nB.",
        "```python\nx='<think>'\n```",
        "Thought: a poem.\nBy me",
        "[THOUGHT] If I tell her, she leaves. [PAUSE] If I don't, I do.",
        "Answer: 4",
        "**Reasoning:** The sum is 4.",
        "<output>5</output>",
        "<response>ok</response>",
        "x < y and y > z",
        "<s>gone</s> stays",
        "Use </s> to end strikethrough in HTML.",
        "a | b <|> c",
        "The token <|endoftext|> is used by GPT-2.",
        "<details><summary>More</summary>Text</details>",
        "Here are my reasoning steps: first, I add. Then done.",
        "Final answer: 4",
        "<start>a</start>",
        "Step 1: think. Step 2: act.",
        "> A quote\n\nMy answer.",
        "> Thinking\n> is hard\n\nsaid the poet.",
        "Models write <think>...</think> before they answer.",
        "Use the regex <think>(.*?)</think> to find it.",
        "```python\nmark = '<think>hm</think>'\n```",
        "```\n<|im_start|>user\nHello<|im_end|>\n```",
        "The prompt is <s>[INST] Hi [/INST] in Llama 2.",
        "[PAD] tokens are ignored by the loss.",
        "<unk> stands for unknown words.",
        "Analysis\n\nIn the assistant final role she sang.",
        "analysisResult = 5",
        "[Thinking] aloud: I like tea.",
        "List<Thinker> thinkers = new ArrayList<Thinker>();",
        "User: hello\nAssistant: hi\nUser: bye",
        "Assistant: hello\nUser: hi",
        "Here is the template:\n\n### Instruction:\n{task}\n\n### Response:\n",
        "A dialogue:\n\nHuman: Why?\n\nAssistant: Because.",
        "assistant\nmanager\nclerk",
        "A dialogue in which one asks.\n\nHuman: What is it?\n\nAssistant: A gull.",
        "It goes on so.\n\nUser: What is it?\nAssistant: A gull.",
        "# A template\n\n### Input:\nfoo\n\n### Response:\nbar",
        "Use <think> tags like this:\n\n<think>\nreason\n</think>\n\nThen answer.",
        "<output>5</output>\n<output>6</output>",
        "Dear [FIRST_NAME],\nthank you.",
        "The special tokens are:\n- <|begin_of_text|>\n- <|end_of_text|>\n- <|eot_id|>\nEach has an id.",
        "The template is:\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}",
        "<config>\n  <role>user</role>\n  <role>admin</role>\n</config>",
        "[paths]\nroot=/\n[tools]\nlint=ruff\n[sep]\nvalue=;",
        "Close it with </output>",
        "【分析】\n诗人写景抒情。\n【答案】\n李白",
        "<reasons>\n  <reason>late</reason>\n</reasons>",
        "<analysis>It is short.</analysis>\n<summary>A heron.</summary>",
        "Thought: I am tired.\nResponse: Then sleep.",
        "if (i <end) run(); // ###",
        "[THINK] is how Magistral opens its reasoning, and [/THINK] closes it.",
        "<think> opens the reasoning and </think> closes it.",
        "Turn it off with /no_think",
        "think\ntank\nanswer",
        "think\nask\nanswer\nspeak",
        "**Reasoning**\n\n> It is late.\n\n**Conclusion**\n\nGo home.",
        "Put [INST] before the question and [/INST] behind it. [INST] Hi [/INST] is one.",
        "Thinking Process:\n\n1. **Understand the problem.** Read it twice.\n2. **Plan.** Draw it.",
        "Here's a thinking process:\n\n1. **Understand the user.** Talk to people.\n2. **Draw.**",
        '```xml\n<tool_call>\n{"name": "search"}\n</tool_call>\n```',
        'This is how a model calls.\n<tool_call>\n{"name": "search"}\n</tool_call>\nThe client runs it.',
        "Thinking process:\n1. Read the task.\n2. Answer it.",
        "A model calls a tool so:\n<tool_call>\n{...}\n</tool_call>",
        '{"open": "<think>", "close": "</think>", "end": "</s>"}',
        '{"html": "the <s>old</s> house", "type": "List<String>"}',
        '{"template": "<s>[INST] {question} [/INST] {answer} </s>", "log": "done [END]"}',
        '{"instruction": "Clean it.", "input": "<s>old</s>", "output": "GET /\\r\\nHost: <host>\\r\\n\\u001b[0m"}',
        "/no_think\nTurns it off.\n\n/think\nTurns it on.",
        "[Exeunt. End of text]",
    ],
)
def test_a_text_that_only_speaks_of_marks_stays_as_it_is(text: str) -> None:
    assert clean(text).text == text and not clean(text).problem


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>',
        '[TOOL_CALLS][{"name": "search"}]',
        '<|python_tag|>{"name": "search"}',
        '<minimax:tool_call>\n<invoke name="search">\n</invoke>\n</minimax:tool_call>',
        'Let me look that up.\n<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>',
        "<|tool_call>call:search{q:heron}<tool_call|>",
        '<invoke name="search">\n<parameter name="q">heron</parameter>\n</invoke>',
    ],
)
def test_a_call_of_a_tool_is_no_answer(text: str) -> None:
    assert clean(text).problem == TOOL_CALL


@pytest.mark.parametrize(
    "text",
    [
        "▁A▁grey▁heron▁stands.",
        "AĠgreyĠheronĠstands.",
        "A<0x20>grey<0x20>heron<0x20>stands.",
        "▁A ▁grey ▁heron ▁stands .",
    ],
)
def test_pieces_of_a_tokenizer_are_no_text(text: str) -> None:
    assert clean(text).problem == UNDECODED


@pytest.mark.parametrize(
    "text",
    ["KÃ¤se ist grÃ¶ÃŸer.", "K\ufffdse", "Well done \ufffd\ufffd", "It\u00e2\u20ac\u2122s a heron\u00e2\u20ac\u00a6"],
)
def test_letters_that_were_decoded_wrongly_are_no_answer(text: str) -> None:
    assert clean(text).problem == GARBLED


@pytest.mark.parametrize(
    "text",
    [
        "The sign \ufffd stands for bytes that are no text.",
        "`Ã¤` is what ä becomes when UTF-8 is read as Latin-1.",
        "AMANHÃ, A MÃE VEM. Le château, un bâtiment, âgé: «Â».",
        "Ðà er góður.",
    ],
)
def test_letters_that_only_look_strange_stay(text: str) -> None:
    assert clean(text).text == text


@pytest.mark.parametrize("text", ["\u200b", " \u2060\n", "ㅤ", "<think>hm</think>\u200b"])
def test_characters_of_which_nothing_is_seen_are_no_answer(text: str) -> None:
    assert not clean(text).text.strip()


def test_a_box_around_a_part_of_the_answer_comes_off() -> None:
    assert clean("<think>hm</think>It is <|begin_of_box|>four<|end_of_box|>.").text == "It is four."


ENDINGS: dict[str, list[str | None]] = {
    "whole": [
        "stop",
        "STOP",
        "eos",
        "FINISH_REASON_STOP",
        "end_turn",
        "stop_sequence",
        "COMPLETE",
        "eos_token",
        None,
        "",
        "null",
        "EOS",
        "done",
        "stop_str",
        "FinishReason.STOP",
        "StopReason.END_TURN",
        "stop-token",
        "endTurn",
        "stopSequence",
        "model_stop",
        "eos_token_found",
        "stop_before",
        "user_stop_sequence",
        "STOP_CRITERIA_MET",
        "<|im_end|>",
        "</s>",
        "matched_stop",
        "natural_stop",
        "end-of-sequence",
        "end_of_sequence",
        "EndOfText",
        "FINISHED",
        "COMPLETED",
        "stop_reason_eos",
        "END_OF_TURN",
        "FINISH_REASON_UNSPECIFIED",
        "STOP_CRITERIA",
        "<|eot_id|>",
        "<|return|>",
        "finished_normally",
        "stop_by_eos",
        "end_of_utterance",
        "matched_token",
        "word",
        "正常结束",
    ],
    "cut": [
        "length",
        "LENGTH",
        "max_tokens",
        "MAX_TOKENS",
        "FinishReason.MAX_TOKENS",
        "model_length",
        "model_context_window_exceeded",
        "maxTokens",
        "max_output_tokens",
        "max_new_tokens",
        "token_limit",
        "ERROR_LIMIT",
        "TRUNCATED",
        "incomplete",
        "max_length",
        "context_length_exceeded",
        "output_limit",
        "total_tokens_exceeded",
        "kv_cache_full",
        "length_capped",
        "LengthLimit",
        "tokens_exhausted",
        "too_long",
        "截断",
        "context_overflow",
        "out_of_tokens",
        "cutoff",
        "too_many_tokens",
        "not_finished",
        "partial",
    ],
    "refused": [
        "content_filter",
        "SAFETY",
        "sensitive",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "content-filter",
        "ContentFiltered",
        "guardrail_intervened",
        "refusal",
        "ERROR_TOXIC",
        "moderation",
        "LANGUAGE",
        "IMAGE_SAFETY",
        "content_filtered",
        "policy_violation",
        "OTHER_BLOCKED",
        "risk_control",
        "safety_stop",
        "content_blocked",
        "risk",
        "MODEL_ARMOR",
        "jailbreak",
        "abuse",
        "nsfw",
        "csam",
        "pii_detected",
        "violence",
        "内容过滤",
    ],
    "failed": [
        "error",
        "ERROR",
        "network_error",
        "insufficient_system_resource",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "timeout",
        "MALFORMED_FUNCTION_CALL",
        "internal_error",
        "server_error",
        "failed",
        "preempted",
        "eviction",
        "connection_closed",
        "OTHER",
        "UNEXPECTED_TOOL_CALL",
        "engine_error",
        "overloaded",
        "client_disconnect",
        "interrupted",
        "out_of_memory",
        "worker_died",
        "engine_dead",
        "shutdown",
        "exception",
        "internal",
    ],
    "unknown": ["zonk", "tool_calls", "tool_use", "function_call"],
}


@pytest.mark.parametrize(("ending", "word"), [(ending, word) for ending, words in ENDINGS.items() for word in words])
def test_a_finish_reason_has_one_meaning_in_any_spelling(ending: str, word: str | None) -> None:
    assert ending_of(word) == ending


REFUSALS = """看起来您还没有粘贴文章内容。请把需要总结的文章发给我。
好的，请提供您要改写的句子。
申し訳ありませんが、記事の本文が見当たりません。要約したい記事を貼り付けてください。
訳したい文を入力してください。
요약할 글이 제공되지 않았습니다.
بالطبع! لكن يبدو أنك لم ترفق المقال. يرجى إرساله لي.
ज़रूर! लेकिन आपने कोई अनुच्छेद नहीं दिया है।
Конечно! Кажется, вы забыли приложить текст. Пришлите его, пожалуйста.
Natürlich! Bitte schicken Sie mir den Satz, den ich übersetzen soll.
Gerne! Allerdings sehe ich hier keinen Artikel.
Bien sûr ! Pourriez-vous me donner la phrase que vous souhaitez traduire ?
Il semble que vous n'ayez pas inclus le texte à corriger.
Por supuesto. Sin embargo, parece que no has incluido ningún texto.
Claro! Parece que você não enviou o texto.
Certo! Sembra che tu non abbia incluso il testo.
Oczywiście! Nie widzę tekstu.
Tabii ki! Herhangi bir metin sağlanmamış.
Vâng! Có vẻ như bạn chưa cung cấp văn bản.
Got it! Please go ahead and share the paragraph you want me to edit.
I'd be glad to correct the grammar, but the paragraph seems to be missing.
What's the text you'd like me to translate?
很遗憾，该请求违反了我们的使用政策。
I cannot, in good conscience, provide those instructions.
I'm not going to help with that.
That's outside what I can help with.
I don't think I should answer that.
I'm designed to be helpful and harmless, so I can't do this.
I can only help with questions about cooking.
Il n'y a pas de phrase complète à traduire.
您没有提供文章内容，无法进行总结。
非常抱歉，我不能提供此类信息。
Promiňte, ale s tím vám nemohu pomoci.
I’m sorry, but I am unfortunately unable to help.
Sorry, I'm not in a position to share that.
I don't see any attached file. Could you share it, please?
I see no text.
Ich kann dir keine Filmempfehlungen machen.
Sorry, but that's not something I can help with.
That's something I cannot do.
I am Claude, an AI assistant made by Anthropic. I can't help with that.
I'm Qwen, created by Alibaba Cloud. I cannot help with that.
Thank you for your question, but I can't answer it.
Thank you for reaching out. Unfortunately, I cannot assist with this request.
Great question! Unfortunately, as an AI language model, I cannot predict the future.
I understand your concern, but I'm unable to help with that.
I appreciate your request, but I can't help with that.
While I understand your curiosity, I can't provide that.
I strive to be helpful, but I can't assist with this.
I cannot provide medical advice.
I cannot write a poem about that.
Unable to process this request.
I don't understand the question.
I have no information on this topic.
Sure, I can help with that! What text would you like me to translate?
I would be glad to help you with that. However, you did not include the text.
I'd be happy to help, but I need more information.
It seems that the text you wanted me to summarize is missing.
No input provided. Please provide the text.
Bitte gib mir den Text, den ich zusammenfassen soll.
En tant qu'assistant IA, je ne peux pas naviguer sur Internet.
Pourriez-vous fournir le texte à résumer ?
¿Podrías enviarme el texto?
Non posso fornire queste informazioni.
对不起，我无法提供相关帮助。
すみません、その質問には答えられません。
يرجى تقديم النص الذي تريد ترجمته.
אנא ספק את הטקסט לתרגום.
कृपया वह पाठ प्रदान करें जिसका अनुवाद करना है।
กรุณาระบุข้อความที่ต้องการแปล
Vui lòng cung cấp văn bản cần dịch.
Bir yapay zeka dil modeli olarak kişisel görüşlerim yok.
Lütfen çevrilecek metni sağlayın.
I can't assist with that.
I cannot help with this request.
I'm not able to help with that.
I'm sorry, but as a language model I do not have access to current data.
As an AI developed by OpenAI, I don't have personal opinions.
I'm just a computer program, so I don't have feelings.
Sorry, I don't know the answer to that.
I don't have enough information to answer that question.
I won't be able to help with that.
I must respectfully decline.
Unfortunately, I am unable to view images.
I apologize, but I cannot fulfil that request.
It is not possible for me to browse the internet.
There is no image attached. Please upload the image.
You didn't provide any text. Please share the paragraph you'd like summarized.
It looks like you forgot to include the article.
Could you please provide the text you want me to translate?
I need more information to answer this question.
My knowledge cutoff is 2023, so I can't provide that.
Let's talk about something else.
I'd be happy to help! Please provide the text you would like me to edit.
Sure! Please share the sentence.
Es tut mir leid, aber dabei kann ich nicht helfen.
Ich kann Ihnen dabei leider nicht behilflich sein.
Als KI-Sprachmodell habe ich keine persönlichen Meinungen.
Bitte geben Sie den Text an, den ich zusammenfassen soll.
Je suis désolé, mais je ne peux pas vous aider.
En tant que modèle de langage, je n'ai pas d'opinion.
Veuillez fournir le texte à résumer.
Lo siento, pero no puedo ayudarte con eso.
Como modelo de lenguaje, no tengo acceso a internet.
Por favor, proporciona el texto que quieres resumir.
Desculpe, mas não posso ajudar com isso.
Mi dispiace, ma non posso aiutarti.
Het spijt me, maar ik kan je daar niet mee helpen.
Przykro mi, ale nie mogę w tym pomóc.
Извините, но я не могу помочь с этим.
Как языковая модель, я не имею личного мнения.
Üzgünüm, bu konuda yardımcı olamam.
对不起，我无法提供帮助。
作为一个人工智能语言模型，我没有个人观点。
请提供需要翻译的文本。
抱歉，我不能协助完成这个请求。
很抱歉，我還沒有學習如何回答這個問題。
申し訳ございませんが、お手伝いできません。
AI言語モデルとして、個人的な意見はありません。
要約する文章を入力してください。
죄송하지만 도와드릴 수 없습니다.
저는 AI 언어 모델로서 개인적인 의견이 없습니다.
عذراً، لا يمكنني مساعدتك في هذا الطلب.
كنموذج لغوي، ليس لدي آراء شخصية.
मुझे खेद है, लेकिन मैं इसमें मदद नहीं कर सकता।
एक एआई भाषा मॉडल के रूप में, मेरी कोई राय नहीं है।
Xin lỗi, tôi không thể giúp với yêu cầu này.
ขออภัย ฉันไม่สามารถช่วยเรื่องนี้ได้
Maaf, saya tidak dapat membantu dengan permintaan itu.
Sebagai model bahasa, saya tidak memiliki pendapat.
Förlåt, jag kan inte hjälpa till med det.
Jag är ledsen, men jag kan inte hjälpa dig med det.
Beklager, jeg kan ikke hjelpe med det.
Undskyld, men jeg kan ikke hjælpe med det.
Anteeksi, en voi auttaa siinä.
Sajnálom, de ebben nem tudok segíteni.
Omlouvám se, ale s tímto nemohu pomoci.
Îmi pare rău, dar nu vă pot ajuta cu asta.
Λυπάμαι, αλλά δεν μπορώ να βοηθήσω με αυτό.
Вибачте, але я не можу допомогти з цим.
متأسفم، اما نمی‌توانم در این مورد کمک کنم.
দুঃখিত, আমি এই বিষয়ে সাহায্য করতে পারব না।
Samahani, siwezi kusaidia na hilo.
Em sento, però no puc ajudar-te amb això.
ขอโทษค่ะ ฉันไม่สามารถตอบคำถามนี้ได้
אני מצטער, אבל אני לא יכול לעזור בזה.
மன்னிக்கவும், என்னால் உதவ முடியாது.
I cannot and will not write that.
As a text-based AI, I can't see images.
Being an AI language model, I cannot give medical advice.
I do not have personal experiences, as I am an AI.
I regret to inform you that I cannot help with that.
It seems that the text is missing. Please provide it.
No input was provided.
To answer this, I need the text of the article.
Please provide me with the list of items you want sorted.
Hello! How can I assist you today?
This goes against my guidelines.
I decline to answer.
I'd rather not discuss this topic.
I was not designed to do that.
I have no access to the internet.
Ich bin leider nicht in der Lage, Links zu öffnen.
Je n'ai pas accès à Internet.
No tengo acceso a información en tiempo real.
Como uma IA, não tenho sentimentos.
У меня нет доступа к интернету.
您好，我是小助手，有什么可以帮您？
恐れ入りますが、お答えすることができません。
저는 AI라서 감정이 없습니다.
Üzgünüm, ancak bu isteği yerine getiremem.
សូមអភ័យទោស ខ្ញុំមិនអាចជួយបានទេ។
ຂໍອະໄພ, ຂ້ອຍບໍ່ສາມາດຊ່ວຍໄດ້.
ይቅርታ፣ በዚህ መርዳት አልችልም።
တောင်းပန်ပါတယ်၊ ဒီကိစ္စမှာ ကျွန်တော် မကူညီနိုင်ပါဘူး။
معاف کیجیے، میں اس میں مدد نہیں کر سکتا۔
క్షమించండి, నేను దీనికి సహాయం చేయలేను.
क्षमस्व, मी मदत करू शकत नाही.
Na žalost, ne mogu vam pomoći.
Kahjuks ei saa ma sellega aidata.
I'm sorry, but I'm not able to provide that information.
I'm sorry, I cannot translate this without the original text.
It's not appropriate for me to answer this.
There doesn't appear to be any text to summarize.
You haven't given me a list to sort.
En tant que modèle d'IA, je n'ai pas d'émotions.
Lo siento, no puedo proporcionar esa información.
Desculpe, como modelo de IA não posso fazer isso.
請提供您想翻譯的文字。
Kun je de tekst delen die je wilt laten samenvatten?
Kan du dela texten som du vill ha sammanfattad?
Proszę podać tekst, który mam streścić.
Silakan berikan teks yang ingin Anda terjemahkan.
申し訳ありませんが、その依頼には対応できません。
I don't see any report attached. Could you please paste the text?
No email was provided. Please share the email you would like me to summarize."""
ANSWERS = """我没有看到那篇文章。
请把修改好的段落发给我，谢谢！
好的，我们明天见。
您还没有填写收货地址，请补充后再提交订单。
この雑誌には英語の記事が含まれていません。
はい、その案に賛成です。
안개 때문에 글이 보이지 않아요.
لم تقدم أي نصيحة.
Вы не указали, кем хотите стать.
Похоже, вы ещё не прислали вторую главу.
Bitte markieren Sie den Text, den Sie kopieren möchten.
Leider hat der Zusteller kein Paket übergeben.
Je ne vois pas le moindre livre.
Claro que sí, enseguida le traigo la cuenta.
Parece que no has entregado tu ensayo.
What is the photo you like best?
I'd love to help you, but I can't on Saturday: I'm at my sister's wedding.
Okay, no problem. Two flat whites coming right up!
Kun je de tekst morgen delen?
Silakan berikan teks ini kepada Ani.
Proszę podać tekst do piątku.
I don't see an invoice attached. Could you please send it again?
I don't see the contract attached. Could you please share it so I can review it?
No lamp was included. Please send the missing one by Friday.
他的要求违反了公司的规定，所以被拒绝。
该内容违反了社区规定，应当删除。
此内容违反广告法第九条。
I'm not willing to discuss this with the press until the trial is over.
That's beyond what I can afford.
It is beyond my abilities to say how lovely the evening was.
Leider kann ich Ihre Empfehlung nicht annehmen, da ich verreist bin.
您没有提供地址，请补上。
I see no reason to wait.
I'm not going to the party, she said.
I'm designed for cold weather, says the tag in the coat.
I can only help on Mondays.
I don't think I should sell the house this year.
That's outside the town.
Il n'y a pas de pain.
请在周五之前提供文本，谢谢。
I see a picture.
I see the text.
I can share that.
I don't have the ability to fly, but I can swim.
That is something I can do tomorrow.
Please share this article with your friends.
Please provide the report by Friday.
Could you tell me what you would like for dinner?
What would you like me to bring? asked Tom.
"I'm sorry," said the clerk, "but I can't help you with that."
「申し訳ありませんが、お手伝いできません」と店員は言った。
Als KI-Forscher arbeite ich in Berlin.
Bitte geben Sie den Text bis Freitag ab.
抱歉，我们无法完成您的订单，因为库存不足。
I don't have personal experience with that car, but reviews say it is good.
I do not have current plans to move.
I don't have enough information about the budget to approve it.
I have no way of knowing what he thought.
I have no personal opinion of him.
The image was attached.
Thank you for your application. Unfortunately, we cannot offer you the position.
I understand your frustration, but we can't refund the order.
While I cannot change the past, I can learn from it.
I'm Claude, a baker from Lyon.
Unable to connect: the cable is loose.
Sorry is the hardest word to say.
I'm sorry for your loss, Anna; call me any time.
Unfortunately, the train was late, so she missed her flight.
Dear Sir, I regret that I cannot attend the meeting on Friday.
No puedo creer que ya sea lunes.
I can't wait to see you at the party!
Penguins cannot fly because their wings are short.
Please provide two forms of identification at the desk.
Could you please send me the invoice by Monday?
As an AI researcher, she published forty papers.
Leider war das Wetter schlecht.
很抱歉让您久等了，您的订单已发货。
申し訳ありませんが、会議を来週に変更していただけますか。
Извините за опоздание, автобус сломался.
I am unable to attend the wedding, but I wish you both joy.
We don't have any milk left.
Je ne peux pas venir demain, je suis malade.
Non posso venire stasera.
Language models predict the next token.
抱歉，会议改到下午三点。
Maaf, saya terlambat karena macet.
Please upload the file before noon.
It looks like rain today.
I need more information about the new product, such as its price and delivery date.
Let's talk about something else, said Ben, and they did.
Förlåt mig, sa hon.
I don't know the way, said the boy.
You forgot your umbrella.
I can't help but smile when I see a puppy.
I can't see the stars from my window.
I can't open the door because my hands are full.
I cannot write poetry, but I can paint.
I must decline the offer of employment, but thank you.
As an AI system grows, so does its appetite for data.
As an AI, I watched the people leave, one by one.
"I cannot," said the machine, and the lights went out.
I'm an AI researcher from Oslo.
Unfortunately, we cannot offer you the position.
Sorry, we cannot process your payment. Please try another card.
There is no article in Russian.
No input was received from the sensor, so the alarm rang.
How can I help you? asked the clerk.
Leider kann ich am Samstag nicht zur Feier kommen.
Lo siento, no puedo ir a la fiesta.
Désolé, je ne peux pas venir ce soir.
К сожалению, я не могу прийти на встречу завтра.
作为一个人工智能工程师，他每天写代码。
申し訳ありませんが、明日の会議には出席できません。
죄송하지만 내일 모임에 참석할 수 없습니다.
Xin lỗi, tôi không thể đến họp ngày mai.
ขอโทษครับ พรุ่งนี้ผมไม่สามารถมาประชุมได้
Przepraszam, nie mogę przyjść jutro.
I can't help it: I love chocolate.
As an assistant manager, I don't have the authority to do that.
I don't have enough eggs for the cake.
I can't find my keys; have you seen them?
The text is missing a comma.
Je ne peux pas répondre au téléphone en conduisant.
作为一名医生，我不能告诉你。
ฉันไม่สามารถกินเผ็ดได้"""
PLACEHOLDERS = """nooutput
<nooutput>
<no output>
N/A
n.a.
…
[No output]
(no response)
Output:
Answer:
[Your answer here]
<insert text here>
{answer}
{{output}}
TODO
TBD
...
xxx
Keine Ausgabe
k. A.
sin respuesta
无输出
(empty)
<empty>
<blank>
[blank]
No input
<noinput>
Not applicable.
No answer provided
There is no output.
不适用
略
（略）
[object Object]
lorem ipsum dolor sit amet
This is a placeholder.
Sample output
Example output
[insert example here]
<response>
[response]
Response
???
_____
As above.
(none)
<string>
（空）
Output: N/A
N/A (not applicable)
No output is required.
<answer></answer>
TODO: write answer
Example answer here
entfällt
无需输出
As above.
See above
Same as above
<web page with the design of a shop>
[Image of a grey heron]
[Insert the poster here]
Answer goes here.
[Antwort hier einfügen]
[Votre réponse ici]
【在此处填写答案】
Response not available."""
SHORT_ANSWERS = ("No", "Yes", "0", "A", "-5", "None of them can fly.", "Blank verse is unrhymed.", "Nul points", "无花果",
                 "нет, это не так", "…and then he left", "[1, 2]", "Response time is 5 ms", "null and void", "Empty set",
                 "None", "null", "empty", "[]", "{}", "<br>", "无", "なし", "... --- ...", ".- -...", "...---...", "😀", "空气", "<table>",
                 "Lorem ipsum is dummy text.", "[the heron stands still]", "[Enter Macbeth with bloody hands]", "[Put on the hat and leave]",
                 "<img src=a alt=b title=c>", "Antwort", "ваш ответ", "回答")  # fmt: skip


@pytest.mark.parametrize("text", REFUSALS.splitlines())
def test_a_refusal_is_known_in_its_language(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS.splitlines())
def test_what_only_begins_like_a_refusal_is_none(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize("text", PLACEHOLDERS.splitlines())
def test_a_placeholder_is_known(text: str) -> None:
    assert is_placeholder(text)


def test_many_answers_are_judged_as_each_is() -> None:
    texts = [*REFUSALS.splitlines(), *ANSWERS.splitlines(), *PLACEHOLDERS.splitlines(), *SHORT_ANSWERS]
    assert are_refusals(pl.Series([*texts, None])).to_list() == [*map(is_refusal, texts), False]


def test_a_refusal_that_the_task_asks_for_is_an_answer() -> None:
    tasks = (
        ("Politely decline the request of a colleague.", ""),
        ("Translate into English.", "Lo siento, pero no puedo ayudarte con eso."),
        ("Answer, or say 'I'm sorry, but I can't help with that.'", ""),
        ("Translate into English: Lo siento, no puedo ayudarte.", ""),
        ("What does a chatbot say to a question about medicine?", ""),
        ("Explain how a kite flies.", ""),
    )
    said = "I'm sorry, but I can't help with that."
    rows = pl.DataFrame([{"row": n, "instruction": task, "input": text, "output": said, "is_classification": False}
                         for n, (task, text) in enumerate(tasks)])  # fmt: skip
    assert first_broken(rows, answer_rules(AnswerForm(most_tasks=None)))["row"].to_list() == [5]
    assert [AnswerForm().problem(said, "\n".join(task)) for task in tasks] == [*[None] * 5, "refusal"]


def test_a_placeholder_that_the_task_names_is_an_answer() -> None:
    tasks = {
        "Write N/A where there is no date.": "N/A",
        "Give a dummy text of two words.": "Lorem ipsum",
        "Translate into German: [Your answer]": "[Ihre Antwort]",
        "Why?": "N/A",
    }
    assert [is_placeholder(answer, task) for task, answer in tasks.items()] == [False, False, False, True]
    rows = pl.DataFrame({"row": range(4), "instruction": tasks.keys(), "output": tasks.values()})
    rows = rows.with_columns(input=pl.lit(""), is_classification=False)
    assert first_broken(rows, answer_rules(AnswerForm()))["row"].to_list() == [3]


@pytest.mark.parametrize("text", SHORT_ANSWERS)
def test_a_short_answer_is_no_placeholder(text: str) -> None:
    assert not is_placeholder(text)
