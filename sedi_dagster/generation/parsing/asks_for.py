"""What a task asks for, by its words in some twenty languages: what is asked for stays in its answer."""

import re

TAGS = re.compile(r"\btags?\b|xml|html|<\w|\belements?\b", re.IGNORECASE)
STEPS = re.compile(r"step[ -]by[ -]step|reasoning|show (?:your|the|all) (?:work|steps)", re.IGNORECASE)
A_FENCE = re.compile(r"markdown|fence|code|block|```|verbatim|terminal|readme|plain ?text", re.IGNORECASE)
A_BOX = re.compile(r"\bbox|latex|\btex\b", re.IGNORECASE)
JSON = re.compile(
    r"json|\bdict(?:ionary)?\b|\bobjects?\b|\bkeys?\b|schema|payload|\bapi\b|config|[{}]|machine[- ]readable|"
    r"structured|\brecords?\b|\bfields?\b|\bobje[tk]t\b|objeto|oggetto|obiekt|объект|对象|對象|オブジェクト|객체|字典|"
    r"辞書|dic(?:c?ionario|ionário|tionnaire)|dizionario|словар|schlüssel|\bclave\b|\bclés?\b|chiave|\bchave\b",
    re.IGNORECASE,
)
CODE = re.compile(
    r"python|\bcode\b|script\b|program|function|\bprint|expression|literal|mapping|\bhash|\barrays?\b|\b(?:ruby|perl|"
    r"lua)\b|código|код|программ|コード|プログラム|代码|代碼|程序|程式|코드|프로그램",
    re.IGNORECASE,
)
THOUGHTS = re.compile(
    r"reason|rationale|expla|expli|\bwhy\b|justif|confiden|\bsure\b|certain|begründ|erklär|warum|porqu|por qu|"
    r"pourquoi|perch|spieg|waarom|motiv|uzasad|dlaczego|почему|объясн|обосн|neden|açıkla|为什么|為什麼|解释|解釋|说明|"
    r"說明|理由|なぜ|説明|왜|이유|설명|لماذا|اشرح|क्यों|समझा|\bth(?:ink|ought)|\bsteps?\b|show \w+ work|proof|prove|"
    r"evidence|probab|likel|\bscore|razon|raison|ragion|racioc|redene|confian|konfid|gedank|schritt|\bpasos?\b|étape|"
    r"passo|passagg|\bstap|krok|adım adım|рассужд|увер|шаг|步骤|步驟|一步|推理|思考|思路|过程|過程|置信|確信|根拠|"
    r"手順|추론|근거|단계|확신",
    re.IGNORECASE,
)
TURNS = re.compile(
    r"di[aá]l|diyal|convers|chat|\ba talk|interview|transcript|script|exchange|scene|sketch|\ba (?:\w+ )?play\b|"
    r"prompt|-shot|messages?\b|customer|alexa|siri\b|eliza|robot|language model|\bllm|\bbots?\b|\busers?\b|assistant|"
    r"human|\brole|диалог|разговор|бесед|对话|對話|聊天|问答|問答|客服|会話|漫才|대화|채팅|حوار|محادثة|संवाद|gespr|"
    r"unterhaltung|samtal|rozm[oó]w|rozhovor|sohbet|trò chuyện|hội thoại|percakapan|keskustelu|gui[oó]n\b|roteiro",
    re.IGNORECASE,
)
