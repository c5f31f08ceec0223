"""How a model refuses, by language: what a refusal is made of, as regular expressions that capture nothing."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Alternatives, separated by |.

    Attributes:
        sorry: an apology.
        cannot: that one is not able to.
        task: to help, to answer; what was asked; what a model has no access to.
        model: what a model calls itself, at the start of an answer.
        asks: that it asks for a text it was not given, at the start of an answer; "": not known.
    """

    sorry: str
    cannot: str
    task: str
    model: str
    asks: str = ""


WORDS: dict[str, Words] = {
    "de": Words(
        r"es tut mir leid|tut mir leid|entschuldig\w*|leider|ich bedaure",
        r"(?:kann|könnte|darf|werde)\b[^.!?\n]*?(?:nicht|kein\w*)|nicht in der lage|keinen zugriff|nicht möglich",
        r"helf\w*|behilflich|weiterhelfen|beantworten|anfrage|aufgabe bearbeiten|bilder\b|links?\b|internet|echtzeit|diese frage",
        r"als (?:eine? )?(?:\w+es )?(?:ki(?:[ ,.]|-(?:modell|assistent|system|chatbot))|künstliche intelligenz|(?:ki-)?sprachmodell)|ich bin (?:nur )?eine? (?:ki(?:[ ,.]|-(?:modell|assistent|system|chatbot))|künstliche intelligenz|sprachmodell)",
        r"bitte (?:geben sie|gib|gib mir|teilen sie|teile|fügen sie|füge|stellen sie|stelle|senden sie|sende|laden sie)[^.\n]{0,30}(?:text|artikel|satz|bild|inhalt)(?: (?:ein|an|zur|hier|mit|bereit|hoch|der|des))?(?:[.,!]|$)",
    ),
    "fr": Words(
        r"(?:je suis )?(?:vraiment )?désolée?|malheureusement|je m['’]excuse|je regrette|navrée?",
        r"(?:ne (?:peux|suis|pourrai|saurais|dispose)|n['’]ai) pas|impossible",
        r"aider|aide\b|répondre à (?:cette|votre|ta|ces)|satisfaire|ces informations|cette information|cette demande|votre demande|requête|cette question|images?\b|liens?\b|internet|informations? (?:personnel|en temps)|opinion",
        r"en tant qu(?:['’]|e )(?:(?:modèle|assistant)(?: d['’]| )ia\b|ia\b|intelligence artificielle|modèle de langage|assistant virtuel)|je suis une? (?:ia\b|intelligence artificielle|modèle de langage)",
        r"(?:veuillez|pourriez-vous|pouvez-vous|merci de)(?: me| m['’])? ?(?:fournir|indiquer|partager|coller|saisir|donner|envoyer)[^.?\n]{0,20}(?:texte|article|phrase|image|passage)",
    ),
    "es": Words(
        r"lo siento|lamentablemente|desafortunadamente|(?:lo )?lamento|disculp\w+|perdón",
        r"no (?:puedo|podré|soy capaz|me es posible|tengo (?:acceso|la capacidad))",
        r"ayudar\w*|responder (?:a )?(?:esa|esta|eso|tu|su)\b|asistir\w*|cumplir|(?:esa|esta) información|solicitud|petición|esa pregunta|esta pregunta|imágenes|enlaces?|internet|tiempo real",
        r"como (?:una? )?(?:asistente de ia\b|ia\b|inteligencia artificial|modelo de (?:lenguaje|ia\b))|soy (?:solo )?una? (?:ia\b|inteligencia artificial|modelo de lenguaje)",
        r"(?:por favor,? (?:proporcion|compart|indi[cq]|enví|pe[gu])\w*|¿(?:podr|pued)\w+ (?:proporcion|compart|envi|indic|dar)\w*)[^.?\n]{0,20}(?:texto|artículo|frase|imagen|oración)",
    ),
    "pt": Words(
        r"sinto muito|desculp\w+|infelizmente|lamento",
        r"não (?:posso|consigo|poderei|sou capaz|tenho (?:acesso|a capacidade))",
        r"ajud\w+|responder (?:a )?(?:essa|esta|isso|sua)\b|atender|(?:essa|esta) informação|solicitação|pedido|essa pergunta|esta pergunta|esse conteúdo|este conteúdo|imagens|links?\b|internet|tempo real",
        r"como (?:uma? )?(?:(?:modelo|assistente) de ia\b|ia\b|inteligência artificial|modelo de linguagem)|sou (?:apenas )?uma? (?:ia\b|inteligência artificial|modelo de linguagem)",
        r"(?:por favor,? (?:compart|indi[cq]|forne|envi|cole|insira)\w*|(?:você )?(?:poderia|pode) (?:compart|forne|envi)\w*)[^.?\n]{0,20}(?:texto|artigo|frase|imagem)",
    ),
    "it": Words(
        r"mi (?:dis)?spiace|purtroppo|spiacente|scus\w+",
        r"non (?:posso|sono in grado|ho accesso|mi è possibile|riesco)",
        r"aiut\w+|rispondere|soddisfare|queste informazioni|richiesta|domanda|immagini|link\b|internet|tempo reale|di farlo",
        r"(?:in quanto|come) (?:ia\b|intelligenza artificiale|modello linguistico|modello di linguaggio)|sono (?:solo )?un['’ ]?(?:ia\b|intelligenza artificiale|modello linguistico)",
        r"(?:per favore,? )?(?:fornisci|inserisci|incolla|condividi)[^.\n]{0,20}(?:testo|articolo|frase|immagine)",
    ),
    "ca": Words(
        r"em sap greu|ho sento|em sento|malauradament|disculp\w+",
        r"no (?:puc|podré|sóc capaç|tinc accés)",
        r"ajudar\w*|respondre|sol·licitud|petició|pregunta|imatges|internet",
        r"com a (?:ia\b|model de llenguatge|intel·ligència artificial)",
    ),
    "nl": Words(
        r"het spijt me|helaas|sorry|excuses",
        r"kan\b[^.!?\n]*?(?:niet|geen)|niet in staat|geen toegang",
        r"helpen|beantwoorden|verzoek|deze vraag|afbeeldingen|links?\b|internet",
        r"als (?:een )?(?:ai\b|(?:ai-)?taalmodel)|ik ben (?:maar )?een (?:ai\b|taalmodel)",
    ),
    "sv": Words(
        r"(?:jag är )?ledsen|förlåt|tyvärr|beklagar",
        r"kan\b[^.!?\n]*?(?:inte|ikke)|har (?:inte|ingen) tillgång",
        r"hjälpa|svara på|begäran|frågan|bilder|internet",
        r"som (?:en )?(?:ai\b|(?:ai-)?språkmodell?)|jag är en (?:ai\b|språkmodell)",
    ),
    "da": Words(
        r"(?:jeg er |det er jeg )?ked af|undskyld|desværre|beklager|dessverre",
        r"kan\b[^.!?\n]*?(?:ikke)|har ikke (?:adgang|tilgang)",
        r"hjælpe|hjelpe|svare på|anmodning|forespørsel|spørgsmål|spørsmål|billeder|bilder|internet",
        r"som (?:en )?(?:ai\b|(?:ai-)?sprogmodel|(?:ai-)?språkmodell)",
    ),
    "fi": Words(
        r"anteeksi|valitettavasti|pahoittelen|olen pahoillani",
        r"en (?:voi|pysty|osaa)|minulla ei ole (?:pääsyä|mahdollisuutta)",
        r"autta\w*|vastata|pyyntö\w*|kysymy\w+|internet\w*",
        r"(?:tekoälynä|kielimallina)|olen (?:vain )?(?:tekoäly|kielimalli)",
    ),
    "hu": Words(
        r"sajnálom|sajnos|elnézést|bocsánat",
        r"nem (?:tudok|tudom|áll módomban|vagyok képes)",
        r"segíte\w*|válaszol\w*|kérés\w*|kérdés\w*|internet\w*",
        r"(?:nyelvi modellként|mesterséges intelligenciaként)|(?:nyelvi modell|mesterséges intelligencia) vagyok",
    ),
    "et": Words(
        r"kahjuks|vabandust|vabandan",
        r"ei saa|ei ole võimeline|ei suuda",
        r"aidata|vastata|küsimus\w*|palve\w*|taotlus\w*",
        r"keelemudelina|tehisintellektina",
    ),
    "lv": Words(
        r"atvainojiet|diemžēl|piedodiet",
        r"nevaru|nespēju",
        r"palīdzēt|atbildēt|jautājum\w*|pieprasījum\w*",
        r"kā valodas modelis|kā mākslīgais intelekts",
    ),
    "lt": Words(
        r"atsiprašau|deja|apgailestauju",
        r"negaliu|nesugebu",
        r"padėti|atsakyti|klausim\w*|prašym\w*|užklaus\w*",
        r"kaip kalbos modelis|kaip dirbtinis intelektas",
    ),
    "pl": Words(
        r"przykro mi|przepraszam|niestety",
        r"nie (?:mogę|jestem w stanie|mam dostępu|mam możliwości)",
        r"pomóc|odpowiedzieć|udzielić|spełnić|prośb\w+|pytani\w+|obraz\w+|internet\w*",
        r"jako (?:ai\b|model językowy|sztuczna inteligencja)|jestem (?:tylko )?(?:ai\b|modelem językowym|sztuczną inteligencją)",
    ),
    "cs": Words(
        r"omlouvám se|bohužel|je mi líto|prepáčte|ľutujem|žiaľ",
        r"(?:nemohu|nemůžu|nemôžem|nejsem schopen|nemám přístup)",
        r"pomoct?i?\b|pomôcť|odpovědět|odpovedať|otázk\w+|žádost\w*|žiadosť\w*|internet\w*|obrázk\w+",
        r"jako (?:ai\b|jazykový model|umělá inteligence)|ako (?:ai\b|jazykový model)",
    ),
    "hr": Words(
        r"žao mi je|nažalost|na žalost|oprostite|žal",
        r"ne (?:mogu|morem)|nisam u (?:mogućnosti|stanju)|nemam pristup",
        r"pomoći|pomoč|pomagati|odgovoriti|zahtjev\w*|zahtev\w*|pitanj\w+|vprašanj\w+",
        r"kao (?:ai\b|jezični model|umjetna inteligencija|jezički model)|kot (?:ai\b|jezikovni model)",
    ),
    "ro": Words(
        r"îmi pare rău|din păcate|scuze|ne pare rău",
        r"nu (?:vă |te |îți )?(?:pot|sunt capabil|am acces)",
        r"ajut\w*|răspund\w*|solicit\w+|cerer\w+|întreb\w+|imagin\w+|internet\w*",
        r"ca (?:un |o )?(?:model de limbaj|inteligență artificială|ia\b)",
    ),
    "el": Words(
        r"λυπάμαι|συγγνώμη|δυστυχώς",
        r"δεν μπορώ|δεν είμαι σε θέση|δεν έχω πρόσβαση",
        r"βοηθήσω|απαντήσω|αίτημα|ερώτηση|εικόνες|διαδίκτυο",
        r"ως (?:γλωσσικό μοντέλο|τεχνητή νοημοσύνη)",
    ),
    "ru": Words(
        r"извините?|простите?|к сожалению|мне жаль|прошу прощения|вибачте|на жаль|перепрошую|съжалявам|за съжаление",
        r"не (?:могу|можу|мога|имею (?:доступа|возможности)|способ\w+|в состоянии)|нет доступа|немає доступу",
        r"помо[чгщ]\w*|допомог\w*|ответить|відповісти|отговор\w+|(?:выполнить|виконати|изпълня)\w*|запрос\w*|запит\w*|заявк\w*|вопрос\w*|питання|изображени\w+|ссылк\w+|интернет\w*|інтернет\w*",
        r"как (?:ии\b|искусственный интеллект|языковая модель)|я[ —–-]*(?:всего лишь )?(?:ии\b|искусственный интеллект|языковая модель|мовна модель)|як (?:мовна модель|штучний інтелект)|като езиков модел",
        r"(?:пожалуйста, )?(?:предоставьте|пришлите|введите|укажите|вставьте)[^.\n]{0,20}(?:текст|стать|предложен|изображ)",
    ),
    "tr": Words(
        r"üzgünüm|maalesef|özür dilerim|kusura bakma\w*|ne yazık ki",
        r"olamam|yapamam|veremem|yanıtlayamam|getiremem|edemem|erişimim yok|erişemiyorum|mümkün değil",
        r"yardımcı|cevap|yanıt\w*|isteğ\w+|isteği|talep\w*|talebi\w*|soru\w*|internet\w*|bağlantı\w*|görüntü\w*",
        r"(?:bir )?(?:yapay zek[aâ](?: dil modeli)?|dil modeli) olarak|ben bir (?:yapay zek[aâ]|dil modeli)",
        r"lütfen [^.\n]{0,40}(?:metni|makaleyi|cümleyi|görseli)[^.\n]{0,12}(?:sağla|gönder|payla|gir|yapıştır)\w*",
    ),
    "zh": Words(
        r"(?:很|非常|十分)?(?:抱歉|遗憾|遺憾)|對不起|对不起|不好意思",
        r"无法|無法|不能|不可以|没有办法|沒有辦法|没有能力|还在学习|還在學習|(?:没有|沒有|没|沒)(?:学习|學習|学会|學會)",
        r"回答|协助|協助|帮助(?:您|你)|帮(?:您|你)|满足|满足|提供(?:相关|相關)?(?:帮助|幫助|協助)|完成(?:这|此|该|[您你]的(?:请求|要求|任务|指令))|问题|問題|请求|請求|图片|图像|圖片|圖像|链接|連結|互联网|网络|網路|实时|即時",
        r"(?:作为|作為|身为|身為|我是|我只是)(?:一个|一個|一名|一款)?(?:由\w{1,12}(?:开发|训练)的)?(?:ai|人工智能|人工智慧|大?型?语言模型|大?型?語言模型)(?:语言|語言|大|聊天)?(?:模型|助手|助理|程序|系统|系統|机器人)?[，,、。我]",
        r"[请請](?:您)?(?:提供|输入|輸入|上传|上傳|粘贴|貼上|告诉我|告訴我|给出)[^。\n]{0,12}(?:文本|文字|内容|內容|文章|句子|图片|圖片|段落|信息|資訊|原文)|(?:您好|你好)[，,！!]?我是[^。\n]{1,16}[，,。！!](?:请问)?有什么可以帮",
    ),
    "ja": Words(
        r"申し訳|すみません|すいません|ごめんなさい|残念ながら|恐れ入りますが|あいにく",
        r"できません|できかね|できない|いたしかね|答えられません|お応えでき|お答えでき|お手伝いでき",
        r"お手伝い|お答え|答えられ|お応え|回答|お役に立|ご?質問に|リクエスト|ご?要望|依頼|画像|リンク|インターネット|情報",
        r"(?:私は)?(?:ai|人工知能|言語モデル)(?:言語モデル|アシスタント|モデル)?(?:として|ですので|なので|であり)",
        r"[^。\n]{0,16}(?:文章|テキスト|画像|内容)を(?:入力|提供|教え|貼り付け|ご提供|ご入力)",
    ),
    "ko": Words(
        r"죄송|미안하지만|유감스럽게도|안타깝게도",
        r"수 없|불가능|어렵습니다|못합니다",
        r"도와|도움|답변|대답|처리|요청|질문|이미지|링크|인터넷",
        r"(?:저는 )?(?:ai|인공지능)(?: ?언어 ?)?(?:모델)?(?:로서|이므로|이기 때문에|라서|이라서)",
        r"[^.\n]{0,12}(?:텍스트|문장|이미지|내용)[을를]? ?(?:제공|입력|알려|공유)",
    ),
    "ar": Words(
        r"عذرا|عذراً|آسف|أعتذر|معذرة|للأسف",
        r"لا (?:أستطيع|يمكنني|أقدر|أملك)|لست قادر\w*|ليس لدي",
        r"مساعد\w*|المساعد\w*|أساعد\w*|الإجابة|تلبية|تنفيذ|طلب\w*|الطلب|السؤال|الصور|الروابط|الإنترنت",
        r"كنموذج|كذكاء|كمساعد|(?:بصفتي|كوني|باعتباري) (?:نموذج|ذكاء|مساعد)",
        r"(?:يرجى|من فضلك|الرجاء)[^.\n]{0,20}(?:تقديم|تزويد|إرسال|إدخال|مشاركة)[^.\n]{0,20}(?:النص|المقال|الجملة|الصورة)",
    ),
    "fa": Words(
        r"متأسف\w*|متاسف\w*|ببخشید|معذرت|معاف کیجیے|معذرت خواہ",
        r"نمی.?توانم|قادر نیستم|نہیں (?:کر |دے )?سک\w*",
        r"کمک|پاسخ|درخواست|سؤال|سوال|تصویر|لینک|اینترنت|مدد|جواب",
        r"به عنوان (?:یک )?(?:مدل زبان|هوش مصنوعی)|بطور (?:ایک )?(?:اے آئی|مصنوعی ذہانت)",
    ),
    "he": Words(
        r"אני מצטער|אני מצטערת|מצטער|מצטערת|סליחה|לצערי|מתנצל",
        r"(?:לא|איני|אינני) (?:יכול|יכולה|מסוגל)|אין לי גישה",
        r"לעזור|לענות|לסייע|לבצע|בקשה|השאלה|תמונות|קישור|אינטרנט",
        r"כמודל שפה|כבינה מלאכותית",
        r"(?:אנא|בבקשה)[^.\n]{0,12}(?:ספק|שלח|הזן|שתף)[^.\n]{0,20}(?:טקסט|מאמר|משפט|תמונה)",
    ),
    "hi": Words(
        r"मुझे खेद|खेद है|माफ़|माफ|क्षमा|क्षमस्व",
        r"नहीं (?:कर |दे |हो )?सक\w*|असमर्थ|शकत नाही",
        r"मदद|मदत|सहायता|उत्तर|जवाब|अनुरोध|प्रश्न|सवाल|इंटरनेट",
        r"(?:मैं )?(?:एक )?(?:एआई|कृत्रिम बुद्धिमत्ता|भाषा मॉडल)[^।]{0,20} (?:के (?:रूप में|नाते)|हूँ)",
        r"कृपया[^।\n]{0,30}(?:पाठ|टेक्स्ट|लेख|वाक्य|चित्र)[^।\n]{0,12}(?:प्रदान|साझा|भेजें)",
    ),
    "bn": Words(
        r"দুঃখিত|[^।\n]{0,30}জন্য দুঃখিত|ক্ষমা",
        r"(?:পার(?:ব|ছি|ি)|সম্ভব) (?:না|নয়)|অক্ষম",
        r"সাহায্য|উত্তর|অনুরোধ|প্রশ্ন|এটি করতে",
        r"একটি (?:এআই|ভাষা মডেল)",
    ),
    "ta": Words(
        r"மன்னிக்கவும்|வருந்துகிறேன்|క్షమించండి|ക്ഷമിക്കണം|ಕ್ಷಮಿಸಿ",
        r"முடியாது|இயலாது|முடியவில்லை|చేయలేను|లేను|കഴിയില്ല|ಸಾಧ್ಯವಿಲ್ಲ|ಆಗುವುದಿಲ್ಲ",
        r"உதவ\w*|பதில்|கேள்வி|கோரிக்கை|సహాయం|సమాధానం|ప్రశ్న|అభ్యర్థన|സഹായി\w*|മറുപടി|ചോദ്യ\w*|ಸಹಾಯ|ಉತ್ತರ|ಪ್ರಶ್ನೆ",
        r"ஒரு மொழி மாதிரி|ఒక భాషా నమూనాగా",
    ),
    "th": Words(
        r"ขออภัย|ขอโทษ\S*|ຂໍອະໄພ|ຂໍໂທດ|សូមអភ័យទោស|សុំទោស|တောင်းပန်ပါတယ်|ဝမ်းနည်းပါတယ်",
        r"ไม่สามารถ|บ่สามาด|ບໍ່ສາມາດ|មិនអាច|မ[^။\n]{0,20}နိုင်(?:ပါ|ဘူး)",
        r"ช่วย|ตอบ|คำถาม|คำขอ|รูปภาพ|ลิงก์|อินเทอร์เน็ต|ຊ່ວຍ|ຕອບ|ຄຳຖາມ|ជួយ|ឆ្លើយ|សំណួរ|កူညီ|ကူညီ|ဖြေ|မေးခွန်း",
        r"ในฐานะ(?:ที่เป็น)?(?:โมเดล|แบบจำลอง|ปัญญาประดิษฐ์|ai)",
        r"(?:กรุณา|โปรด)(?:ระบุ|ให้|ส่ง|ใส่|แชร์|ป้อน)[^\n]{0,12}(?:ข้อความ|บทความ|ประโยค|รูป)",
    ),
    "vi": Words(
        r"xin lỗi|rất tiếc|thành thật xin lỗi",
        r"không thể|không có khả năng|không có quyền truy cập",
        r"giúp|trả lời|hỗ trợ|yêu cầu|câu hỏi|hình ảnh|liên kết|internet",
        r"(?:là|với tư cách là) một (?:mô hình ngôn ngữ|trí tuệ nhân tạo|ai\b)|tôi là (?:một )?(?:mô hình ngôn ngữ|trí tuệ nhân tạo|ai\b)",
        r"(?:vui lòng|xin hãy|bạn có thể)[^.\n]{0,12}(?:cung cấp|gửi|nhập|chia sẻ|dán)[^.\n]{0,20}(?:văn bản|bài viết|đoạn văn|câu|hình ảnh)",
    ),
    "id": Words(
        r"maaf|mohon maaf|sayangnya|samahani|pole|paumanhin",
        r"tidak (?:dapat|bisa|mampu|memiliki akses)|tak boleh|siwezi|hindi (?:ko )?(?:kaya|maaaring|ako makaka\w*)",
        r"membantu|bantu|menjawab|permintaan|pertanyaan|gambar|tautan|internet|kusaidia|kujibu|ombi|swali|tulong|makatulong|sagot\w*",
        r"sebagai (?:sebuah )?(?:model bahasa|ai\b|kecerdasan buatan|asisten ai)|saya adalah (?:model bahasa|ai\b|kecerdasan buatan)",
    ),
    "ka": Words(
        r"ვწუხვარ|ბოდიში|სამწუხაროდ|ցավում եմ|ներեցեք|ይቅርታ|አዝናለሁ",
        r"არ შემიძლია|ვერ|չեմ կարող|አልችልም",
        r"დახმარ\w*|დაგეხმარ\w*|პასუხ\w*|օգնել|պատասխանել|መርዳት|መመለስ|መልስ",
        r"როგორც ენის მოდელი",
    ),
}
"""By code of the language; some rows hold neighbours too, whose words are nearly the same or whose script tells them
apart (da: Norwegian; cs: Slovak; hr: Serbian, Slovene; ru: Ukrainian, Bulgarian; fa: Urdu; ta: Telugu, Malayalam,
Kannada; th: Lao, Khmer, Burmese; id: Swahili, Tagalog; ka: Armenian, Amharic; hi: Marathi)."""
