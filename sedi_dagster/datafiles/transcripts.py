"""Conversations as one text in a chat template: ChatML, Llama, Vicuna, Alpaca, Guanaco, HH and similar."""

import re

_ROLES = {"user": "user", "human": "user", "inst": "user", "instruction": "user", "prompter": "user",
          "assistant": "assistant", "ai": "assistant", "gpt": "assistant", "/inst": "assistant",
          "response": "assistant", "model": "assistant", "bot": "assistant", "system": "system",
          "question": "user", "answer": "assistant", "q": "user", "a": "assistant", "chatbot": "assistant",
          "input": "input"}  # fmt: skip
_ROLE = "user|human|assistant|system|model|prompter|chatbot|bot|gpt|ai"
_HEADER = r"<\|(?:start_header_id|header_start|start_of_role)\|>"
_HEADER_END = r"<\|(?:end_header_id|header_end|end_of_role)\|>"
_MARK = re.compile(
    rf"<\|im_start\|>[ ]?(?:{_ROLE})[ ]?\n?|{_HEADER}(?:{_ROLE}){_HEADER_END}\s*|"
    rf"<start_of_turn>(?:{_ROLE})\n|<[|｜](?:{_ROLE})[|｜]>\s*|\[\|(?:{_ROLE})\|\][ ]?|\[/?INST\]|"
    rf"(?:<\|START_OF_TURN_TOKEN\|>)?<\|(?:{_ROLE})_TOKEN\|>|"
    rf"<\|start\|>(?:{_ROLE})(?:<\|channel\|>\w+)?<\|message\|>|"
    r"(?:\A|\n\n)(?:Human|Assistant|User|System|AI):[ ]|(?:\A|\n)<(?:human|user|assistant|bot|gpt)>:[ ]?|"
    r"###[ ]?(?:Human|Assistant|User|System|Instruction|Question|Input|Response|Answer)[ ]?:[ \n]?|"
    r"(?:\A|(?<=</s>)|\s)(?:USER|ASSISTANT):[ ]",
    re.IGNORECASE,
)
_END = re.compile(r"(?:\s|<[|｜][\w▁]+[|｜]>|<end_of_turn>|</?s>|\[\|endofturn\|\])+\Z")
_SYSTEM = re.compile(r"\A<<SYS>>\s*(.*?)\s*<</SYS>>\s*", re.DOTALL)
"""Llama's, within the first message of the user."""
_THOUGHT = re.compile(r"<\|channel\|>(?!final)")
_WORD = re.compile(r"/?[a-z]+", re.IGNORECASE)
_QUESTIONS = tuple(re.compile(rf"(?:\A\s*|\n)(?:{words}):[ \n]", re.IGNORECASE) for words in ("Question|Answer", "Q|A"))
"""Where there are no other marks, and nothing before the first: these also stand within texts."""

_ASKS = re.compile(
    r"(?:<\|im_start\|>[ ]?assistant|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model|"
    r"<\|assistant\|>|\[/INST\]|(?:\A|\n)(?:Assistant|AI|ASSISTANT):|###[ ]?(?:Assistant|Response):)\s*\Z"
)


def asked_in(prompt: str) -> str:
    """Return the user's message of a prompt in a chat template that ends where the answer begins; else ""."""
    opened = _ASKS.search(prompt)
    found = messages_of(f"{prompt.rstrip()} .") if opened else []
    users = [message["content"] for message in found if message["role"] == "user"]
    return users[0] if len(users) == 1 else ""


def messages_of(text: str) -> list[dict[str, str]]:
    """Return the messages of a text in a chat template, without what precedes the first; [] for other texts."""
    found = _parted(text, _MARK)
    for marks in _QUESTIONS:
        found = found or (_parted(text, marks) if marks.match(text) else [])
    return found


def without_end(text: str) -> str:
    """Remove the end-of-turn token of an answer."""
    return _END.sub("", text)


def _parted(text: str, mark_of_a_turn: re.Pattern[str]) -> list[dict[str, str]]:
    marks = list(mark_of_a_turn.finditer(text))
    found: list[dict[str, str]] = []
    for mark, following in zip(marks, [*marks, None][1:], strict=True):
        role = next(r for w in _WORD.findall(mark[0]) if (r := _ROLES.get(w.casefold())))
        content = _END.sub("", text[mark.end() : following.start() if following else len(text)]).strip()
        if system := _SYSTEM.match(content):
            found.append({"role": "system", "content": system[1]})
            content = content[system.end() :]
        if _THOUGHT.search(mark[0]):
            continue
        if role == "input" and found:  # Alpaca's input belongs to the instruction before it
            found[-1]["content"] += f"\n\n{content}" if content else ""
        elif content:
            found.append({"role": "user" if role == "input" else role, "content": content})
    return found if {"user", "assistant"} <= {message["role"] for message in found} else []
