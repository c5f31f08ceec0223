"""Brainstorming items made from templates: six kinds of idea list, each with a form that can be checked.

A template holds ideas with the words by which an idea of that sort is recognised. The reference is a sample
of the ideas; the verifier asks for the list form and a few of the sorts, so that other good ideas pass too.
"""

from __future__ import annotations

import random
from typing import Any

Idea = tuple[str, str]
"""An idea as a reference says it, and the words, split by "|", that show an idea of its sort."""

NUMBER_WORDS = {3: "three", 4: "four", 5: "five", 6: "six"}

SHOPS = [
    ("a flower stall", "Petal"),
    ("a repair shop for bicycles", "Spoke"),
    ("a tea room", "Kettle"),
    ("a choir of pensioners", "Silver"),
    ("a shop for climbing gear", "Summit"),
    ("a cheese counter", "Rind"),
    ("a driving school", "Gear"),
    ("a swimming class for toddlers", "Splash"),
    ("a second-hand book stall", "Chapter"),
    ("a wool shop", "Skein"),
]
NAME_PATTERNS = [
    "{word} House",
    "The Happy {word}",
    "{word} and Friends",
    "{word} Corner",
    "Our Little {word}",
    "{word} Works",
]

OLD_THINGS: dict[str, list[Idea]] = {
    "an old wooden ladder": [
        ("Bookshelf in the hall", "book|books|bookshelf|bookcase|shelf|shelves|shelving"),
        ("Towel rail in the bathroom", "towel|towels|blanket|blankets|rail|bathroom"),
        ("Frame for climbing beans", "plant|plants|beans|trellis|garden|vines|pots|flowers|herbs|roses"),
        ("Rack for saucepans above the stove", "pan|pans|pot rack|saucepans|kitchen|rack"),
        ("Stand for shoes", "shoe|shoes|clothes|scarves|coats|hang|drying|dry"),
    ],
    "empty egg cartons": [
        ("Trays for sowing seeds", "seed|seeds|seedling|seedlings|sow|sowing|plant|plants|herbs"),
        ("Palette for mixing paint", "paint|paints|painting|palette|colors|colours"),
        (
            "Sorter for beads and buttons",
            "bead|beads|button|buttons|jewelry|jewellery|screws|organizer|sort|store",
        ),
        ("Caterpillar for a craft lesson", "caterpillar|craft|crafts|animal|animals|flowers|masks|art|toys"),
        ("Firelighters filled with wax", "fire|firelighters|fire starter|fire starters|wax|candles|compost"),
    ],
    "worn-out car tyres": [
        ("Swing under a tree", "swing|swings|play|playground|climb|climbing"),
        ("Planter for flowers", "plant|plants|planter|planters|flower|flowers|garden|flowerbed|pond"),
        ("Low seat with a cushion", "seat|seats|chair|chairs|stool|ottoman|sofa|bench|table|furniture"),
        ("Bed for a dog", "dog|dogs|pet|pets|cat|bed"),
        ("Weight for training", "workout|exercise|gym|flip|training|obstacle|sandbox|sandpit"),
    ],
    "a broken umbrella": [
        ("Waterproof bag from its cloth", "bag|bags|tote|pouch|waterproof"),
        ("Rain cape for a dog", "dog|dogs|pet|coat|jacket|cape|poncho|skirt|costume|hat"),
        ("Frame for climbing peas", "trellis|plant|plants|peas|climbing|garden|vines|greenhouse"),
        ("Rack for drying socks", "drying|dry|socks|laundry|clothes|hang|hanger|rack"),
        ("Shade for a ceiling lamp", "lamp|lampshade|shade|light|chandelier|decoration|lights"),
    ],
    "a stack of old newspapers": [
        ("Wrap for presents", "wrap|wrapping|gift|gifts|present|presents|packing|parcels"),
        ("Papier mache bowls", "mache|papier|bowl|bowls|craft|crafts|hats|boats|origami|collage|art"),
        ("Polish for windows", "window|windows|glass|clean|cleaning|mirrors|polish"),
        ("Lining for a pet cage", "cage|pet|pets|litter|hamster|bird|rabbit|lining|liner|line"),
        ("Mulch for the vegetable bed", "mulch|compost|garden|weeds|seed pots|pots|fire|kindling"),
    ],
    "a chipped teapot": [
        ("Pot for a fern", "plant|plants|planter|flower|flowers|herb|herbs|fern|succulent|vase|succulents"),
        ("Watering can for seedlings", "watering|water plants|watering can|seedlings"),
        ("House for a robin", "bird|birds|robin|birdhouse|nest|feeder|wren"),
        ("Holder for wooden spoons", "spoon|spoons|utensil|utensils|pens|pencils|holder|coins|keys|storage"),
        ("Home for a candle", "candle|candles|lamp|light|ornament|decoration|centerpiece|doorstop"),
    ],
    "wine corks": [
        ("Pin board for the kitchen", "board|pin|pins|pinboard|notice|corkboard|notes"),
        ("Coasters and mats", "coaster|coasters|mat|mats|trivet|bath mat"),
        ("Stamps for printing", "stamp|stamps|print|printing|craft|crafts|paint"),
        ("Floats for fishing", "float|floats|fishing|boat|boats|raft"),
        (
            "Stoppers that protect chair legs",
            "stopper|stoppers|chair|furniture|legs|floor|knob|knobs|magnet|magnets|keyring",
        ),
    ],
    "a cracked guitar": [
        ("Shelf for small treasures", "shelf|shelves|shelving|bookshelf|display|cabinet"),
        ("Planter on the porch", "plant|plants|planter|flower|flowers|succulents|garden|herbs"),
        ("Wall lamp", "lamp|light|lights|wall|decoration|decor|art|sculpture|mirror"),
        ("House for birds", "bird|birds|birdhouse|feeder|cat|bed"),
        ("Clock with strings for hands", "clock|jewelry|jewellery|box|tray|table|coffee table|serving"),
    ],
    "odd socks": [
        ("Puppets with button eyes", "puppet|puppets|doll|dolls|toy|toys|monster|sock monkey|animals"),
        ("Dusters for the blinds", "dust|duster|dusters|dusting|clean|cleaning|rag|rags|polish|shine|mop"),
        (
            "Heat bag filled with rice",
            "rice|heat|warm|warmer|hot|heating|compress|cold pack|lavender|sachet|sachets",
        ),
        ("Draught stopper for a door", "draught|draft|door|stopper|window|protect|storage|cover|pouch"),
        ("Arm warmers", "arm|arms|gloves|mittens|warmers|cosy|cozy|sleeve|scarf|hat|headband|dog|cat"),
    ],
    "a bathtub without taps": [
        ("Pond with goldfish", "pond|fish|goldfish|frogs|water feature|water|fountain"),
        (
            "Raised bed for salad",
            "raised|plant|plants|planter|vegetable|vegetables|garden|flowers|herbs|salad",
        ),
        ("Sofa with one side cut away", "sofa|seat|couch|chair|bench|cushions|daybed"),
        ("Trough for horses", "trough|horse|horses|cattle|cows|animals|dog|dogs|sheep"),
        (
            "Cooler for party drinks",
            "cooler|drinks|ice|party|sandbox|sandpit|ball pit|storage|compost|rainwater",
        ),
    ],
}

TRIPS: dict[str, list[Idea]] = {
    "a week of skiing": [
        ("Goggles", "goggle|goggles|sunglasses"),
        ("Thermal underwear", "thermal|thermals|base layer|base layers|underwear|long johns"),
        ("Warm gloves", "glove|gloves|mittens"),
        ("Helmet", "helmet|hat|beanie"),
        ("Skis and poles", "ski|skis|poles|ski boots|snowboard|boots"),
        ("Lip balm", "lip balm|sunscreen|sun cream|balm"),
        ("Thick socks", "socks|ski socks|wool socks|jacket|ski jacket|scarf"),
    ],
    "three days in hospital": [
        ("Pyjamas", "pyjamas|pajamas|nightgown|nightdress|sleepwear"),
        ("Slippers", "slippers|slipper|socks|flip flops"),
        ("List of medicines", "medicine|medicines|medication|medications|prescription|prescriptions|pills"),
        ("Insurance card", "insurance|id|identification|documents|papers|letter"),
        ("Toothbrush", "toothbrush|toothpaste|toiletries|soap|wash bag|deodorant|hairbrush"),
        ("Phone charger", "charger|phone|headphones|earphones|earplugs"),
        ("Dressing gown", "dressing gown|robe|bathrobe|book|magazines|glasses"),
    ],
    "a long flight with a toddler": [
        ("Spare clothes", "clothes|outfit|change|spare|layers"),
        ("Nappies and wipes", "nappies|nappy|diapers|diaper|wipes"),
        ("Favourite soft toy", "toy|toys|teddy|blanket|comforter|stuffed"),
        ("Snacks", "snack|snacks|crackers|food|milk|formula|bottle|water|juice"),
        ("Sticker book", "sticker|stickers|crayons|coloring|colouring|book|books|tablet"),
        ("Small headphones", "headphones|tablet|cartoons|games"),
        ("Fever syrup", "medicine|fever|paracetamol|first aid|pacifier|dummy|passport|stroller|pushchair"),
    ],
    "a mountain hike": [
        ("Map and compass", "map|compass|gps"),
        ("Sturdy boots", "boots|hiking boots|shoes|hiking shoes|socks"),
        ("Rain jacket", "jacket|rain jacket|raincoat|layers|fleece|waterproof"),
        ("First aid kit", "first aid|plasters|bandages|blister"),
        ("Whistle", "whistle|headlamp|torch|flashlight|head torch|knife|rope"),
        ("Trail mix", "trail mix|snacks|sandwiches|energy bars|food|water|nuts"),
        ("Walking poles", "poles|backpack|rucksack|sunscreen|hat"),
    ],
    "a business trip of two nights": [
        ("Laptop", "laptop|computer|tablet|notebook"),
        ("Ironed shirts", "shirt|shirts|suit|blouse|blazer|tie|dress|trousers"),
        ("Business cards", "business cards|cards|documents|presentation|papers|notes|slides"),
        ("Phone charger", "charger|chargers|adapter|cable|power bank|phone"),
        ("Smart shoes", "shoes|belt"),
        ("Washbag", "washbag|wash bag|toiletries|toothbrush|razor|deodorant"),
        ("Receipts envelope", "receipts|wallet|tickets|ticket|passport|id|credit card|booking"),
    ],
    "a weekend of sailing": [
        ("Life jacket", "life jacket|life jackets|lifejacket|life vest"),
        ("Deck shoes", "deck shoes|shoes|soft soles|boots|sandals"),
        ("Waterproof jacket", "waterproof|oilskins|windproof|windbreaker|rain jacket|jacket|dry bag"),
        ("Tablets against seasickness", "seasick|seasickness|tablets|ginger|motion sickness"),
        ("Sun cream", "sun cream|sunscreen|sunglasses|hat|cap"),
        ("Chart and compass", "chart|charts|compass|radio|gps|flares|rope"),
        ("Sailing gloves", "gloves|towel|swimsuit|knife"),
    ],
    "an overnight stay at a friend's house": [
        ("Pyjamas", "pyjamas|pajamas|nightshirt|sleepwear"),
        ("Toothbrush", "toothbrush|toothpaste|toiletries|hairbrush|deodorant"),
        ("Clean underwear", "underwear|clothes|clean|socks|outfit|shirt"),
        ("Sleeping bag", "sleeping bag|pillow|blanket|teddy"),
        ("Small present for the host", "gift|present|flowers|chocolates|snack|snacks|treats|wine"),
        ("Phone charger", "charger|phone|book|games|movie"),
    ],
    "a music festival in a field": [
        ("Tent", "tent|sleeping bag|camping mat|mattress|pillow"),
        ("Wellington boots", "wellington|wellingtons|wellies|boots|rubber boots|rain boots"),
        ("Earplugs", "earplugs|ear plugs|ear protection"),
        ("Ticket", "ticket|tickets|wristband|cash|id|money"),
        ("Power bank", "power bank|charger|torch|flashlight|headlamp|phone"),
        ("Poncho", "poncho|raincoat|rain jacket|jacket|sunscreen|sun cream|hat"),
        ("Wet wipes", "wipes|toilet paper|hand sanitizer|toiletries|water bottle|snacks|water"),
    ],
}

DISHES = {
    "pumpkin": ["soup", "pie", "risotto", "curry", "bread", "ravioli"],
    "cauliflower": ["soup", "curry", "gratin", "salad", "tempura", "fritters"],
    "salmon": ["fishcakes", "salad", "teriyaki", "chowder", "quiche", "tacos"],
    "spinach": ["lasagne", "omelette", "curry", "salad", "pancakes", "pie"],
    "cabbage": ["rolls", "soup", "stir-fry", "dumplings", "slaw", "stew"],
    "rice": ["pudding", "pilaf", "salad", "paella", "croquettes", "soup"],
    "rhubarb": ["crumble", "jam", "pie", "chutney", "compote", "muffins"],
    "chicken": ["soup", "curry", "casserole", "salad", "fajitas", "pie"],
}

CHOICES: dict[str, tuple[list[Idea], list[Idea]]] = {
    "keeping a dog": (
        [
            ("daily walks keep you fit", "walk|walks|exercise|fit|healthy|active"),
            ("it is loyal company", "company|companion|companionship|loyal|love|friend|friendship|lonely"),
            ("it guards the home", "guard|guards|protect|protection|security|safe|safety"),
        ],
        [
            ("food and the vet cost money", "cost|costs|vet|food|expensive|money"),
            ("it cannot be left alone for long", "alone|holiday|holidays|travel|time|attention|care"),
            ("hair on every sofa", "hair|fur|mess|dirty|barking|bark|noise|allergies|chew"),
        ],
    ),
    "living in a big city": (
        [
            ("many jobs close by", "job|jobs|work|career|opportunities"),
            ("buses and trains run all day", "transport|transit|bus|buses|train|trains|subway|metro"),
            (
                "theatres and concerts",
                "theatre|theatres|theater|museums|concerts|culture|restaurants|shops|entertainment",
            ),
        ],
        [
            ("high rents", "rent|rents|expensive|cost|costs|prices|housing"),
            ("noise at night", "noise|noisy|loud|pollution|air|dirty|smog"),
            ("crowded streets", "crowd|crowds|crowded|traffic|busy|crime|stress|stressful"),
        ],
    ),
    "paying by card instead of cash": (
        [
            ("no need to carry coins", "coins|carry|convenient|convenience|quick|fast|faster|easy"),
            ("every payment is on record", "record|records|track|tracking|statement|history|spending"),
            (
                "a lost card can be blocked",
                "lost|blocked|block|stolen|safe|safer|secure|refund|rewards|points",
            ),
        ],
        [
            ("easy to overspend", "overspend|overspending|spend|debt|interest|budget"),
            ("some shops charge a fee", "fee|fees|charge|charges|accept|accepted|small shops"),
            (
                "it fails when the network is down",
                "network|fails|power|privacy|fraud|hacked|hackers|outage|pin",
            ),
        ],
    ),
    "buying an electric car": (
        [
            ("no exhaust fumes in town", "exhaust|emissions|pollution|environment|clean|cleaner|green"),
            ("cheap to run", "cheap|cheaper|fuel|gas|petrol|running costs|save|savings"),
            ("very quiet", "quiet|silent|smooth|acceleration|maintenance|tax"),
        ],
        [
            ("charging takes long", "charging|charge|chargers|stations|recharge"),
            ("shorter range in winter", "range|winter|cold|distance|long trips"),
            ("high price", "price|expensive|cost|costs|upfront|battery|batteries"),
        ],
    ),
    "shopping for clothes online": (
        [
            ("open day and night", "open|anytime|any time|hours|home|convenient|convenience"),
            ("easy to compare prices", "compare|prices|cheaper|discounts|deals|price"),
            ("a huge choice of brands", "choice|brands|selection|variety|range|sizes"),
        ],
        [
            ("you cannot try things on", "try|fit|fits|size|sizes|sizing"),
            ("returns take time", "return|returns|returning|delivery|shipping|wait"),
            (
                "colours look different",
                "colour|colours|color|colors|quality|feel|touch|fabric|scam|packaging",
            ),
        ],
    ),
    "learning a language from an app": (
        [
            ("you can practise anywhere", "anywhere|anytime|any time|bus|flexible|phone|convenient|pace"),
            ("it is often free", "free|cheap|cheaper|affordable|cost|low cost"),
            ("games keep you going", "game|games|fun|motivated|motivation|streak|streaks|points|daily"),
        ],
        [
            ("little real conversation", "conversation|speak|speaking|speakers|talk|talking|people|teacher"),
            ("weak feedback on your accent", "accent|pronunciation|feedback|mistakes|corrections|grammar"),
            (
                "notifications distract you",
                "notification|notifications|distract|distraction|ads|quit|discipline|boring",
            ),
        ],
    ),
    "renting rather than owning a home": (
        [
            ("you can move quickly", "move|moving|flexible|flexibility|leave|mobility"),
            ("the landlord pays for repairs", "repairs|repair|maintenance|landlord"),
            ("no large loan is needed", "loan|mortgage|deposit|down payment|upfront|property tax"),
        ],
        [
            ("the rent may rise", "rise|rises|increase|increases|raise|rent goes up|rent"),
            ("you cannot change the walls", "change|walls|paint|decorate|renovate|rules|pets|permission"),
            ("you build no wealth", "wealth|equity|own|investment|evict|evicted|notice|security"),
        ],
    ),
}

INTERVIEWS: dict[str, list[Idea]] = {
    "a beekeeper": [
        ("How many bees live in one hive?", "bee|bees|hive|hives|swarm"),
        ("When is the honey ready?", "honey|harvest|wax|honeycomb"),
        ("How often are you stung?", "sting|stings|stung|suit|protective|smoke|smoker"),
        ("What does the queen do all day?", "queen|queens|worker|workers|drones|colony"),
        (
            "Which flowers do they visit most?",
            "flower|flowers|plants|pollen|pollinate|nectar|pesticides|winter",
        ),
    ],
    "a night-train driver": [
        ("How do you stay awake until morning?", "awake|sleep|tired|night|nights|shift|shifts"),
        ("How long is your route?", "route|routes|journey|track|tracks|stations|station|line|rails"),
        ("What do you do when a signal fails?", "signal|signals|brake|brakes|emergency|accident|fast|speed"),
        ("Which passengers do you remember?", "passenger|passengers|people|crew"),
        ("How did you learn to handle the engine?", "engine|train|trains|locomotive|training|learn"),
    ],
    "a volcano researcher": [
        ("How close do you get to the crater?", "crater|volcano|volcanoes|summit|close"),
        ("Can you predict an eruption?", "eruption|eruptions|erupt|erupts|predict|forecast"),
        ("How hot is the lava you sample?", "lava|magma|ash|rock|rocks|hot"),
        ("Which tools survive the gas?", "gas|gases|tools|instruments|equipment|sensors|suit"),
        ("Have you ever been in danger?", "danger|dangerous|safe|safety|risk|afraid|scared"),
    ],
    "a pastry chef": [
        ("What is your favourite dessert?", "dessert|desserts|cake|cakes|pastry|pastries|tart|croissant"),
        ("How early do you start the dough?", "dough|bake|baking|oven|ovens|early|kneading"),
        ("Which recipe took longest to get right?", "recipe|recipes|technique|training|learn"),
        ("How much sugar is too much?", "sugar|butter|flour|chocolate|cream|ingredient|ingredients|sweet"),
        ("What do you do with cakes that fail?", "fail|fails|mistake|mistakes|disaster|wedding|decorate"),
    ],
    "a lifeguard": [
        ("How do you spot a drowning person?", "drown|drowning|rescue|rescues|rescued|save|saved"),
        ("What does a red flag mean on the beach?", "flag|flags|beach|beaches|pool|sea|ocean"),
        ("How fast can you swim?", "swim|swimming|swimmer|swimmers|fitness|training"),
        ("Which currents are dangerous?", "current|currents|rip|tide|tides|waves|dangerous|sharks|jellyfish"),
        ("What is in your first aid kit?", "first aid|cpr|emergency|emergencies|whistle|equipment"),
    ],
    "a translator of novels": [
        ("How do you handle jokes and puns?", "joke|jokes|pun|puns|humour|humor|idiom|idioms|wordplay|slang"),
        ("Which languages do you work with?", "language|languages|fluent|english|dialect"),
        ("Do you talk to the author?", "author|authors|writer|writers|publisher|editor"),
        ("Which book was hardest?", "book|books|novel|novels|text|poem|poetry|chapter"),
        (
            "What gets lost in translation?",
            "translation|translations|translate|translating|meaning|tone|style|culture",
        ),
    ],
    "a clockmaker": [
        ("How old is the oldest clock you have repaired?", "clock|clocks|oldest|antique|watch|watches"),
        (
            "Which tools do you use for tiny gears?",
            "gear|gears|tool|tools|spring|springs|screws|wheels|parts",
        ),
        ("Why does a pendulum lose time?", "pendulum|accurate|time|seconds|minutes|tick"),
        ("How long does a repair take?", "repair|repairs|repaired|fix|restore|restoring|mend"),
        ("Who taught you the trade?", "taught|learn|learned|apprentice|apprenticeship|trade|craft|training"),
    ],
}


def items(rng: random.Random) -> list[dict[str, Any]]:
    """Fifty items: lists of names, uses, packing, dishes, arguments and interview questions."""
    made = [
        *_names(rng),
        *_second_lives(rng),
        *_packing(rng),
        *_dishes(rng),
        *_two_sides(rng),
        *_interviews(rng),
    ]
    return [{"id": f"brainstorming-t{number:03d}", **item} for number, item in enumerate(made, 1)]


def _names(rng: random.Random) -> list[dict[str, Any]]:
    """Names that must share a word (10 items)."""
    made = []
    for shop, word in SHOPS:
        count = rng.randint(3, 5)
        prompt = rng.choice(
            [
                'Suggest {n} names for {shop}. Each must contain the word "{word}". One name per line.',
                'Think of {n} names for {shop}, one per line. Use the word "{word}" in every name.',
            ]
        ).format(n=NUMBER_WORDS[count], shop=shop, word=word)
        lines = [pattern.format(word=word) for pattern in rng.sample(NAME_PATTERNS, count)]
        shared_word = {"kind": "keyword_count", "word": word, "min": count}
        parts = [_listed(count, 2, 8), _part("format", constraints=[shared_word])]
        made.append(_item("themed-names", prompt, parts, lines, "easy" if count < 5 else "medium"))
    return made


def _second_lives(rng: random.Random) -> list[dict[str, Any]]:
    """New uses for a thing (10 items)."""
    made = []
    for thing, ideas in OLD_THINGS.items():
        count = rng.randint(3, 5)
        prompt = rng.choice(
            [
                "Name {n} new uses for {thing}, one on each line.",
                "What could somebody make out of {thing}? List {n} ideas, each on its own line.",
                "Do not throw it away: give {n} ways to reuse {thing}. One way per line.",
            ]
        ).format(n=NUMBER_WORDS[count], thing=thing)
        lines = [idea for idea, _ in rng.sample(ideas, count)]
        parts = [_listed(count, 1, 25), _sorts(ideas, 2)]
        made.append(_item("second-life", prompt, parts, lines, "easy" if count == 3 else "medium"))
    return made


def _packing(rng: random.Random) -> list[dict[str, Any]]:
    """What to take along (8 items)."""
    made = []
    for trip, ideas in TRIPS.items():
        count = rng.randint(4, 6)
        prompt = rng.choice(
            [
                "What should I take along on {trip}? List {n} things, one per line.",
                "Help me pack for {trip}: name {n} things and put each on a new line.",
            ]
        ).format(n=NUMBER_WORDS[count], trip=trip)
        lines = [idea for idea, _ in rng.sample(ideas, count)]
        parts = [_listed(count, 1, 20), _sorts(ideas, 3)]
        made.append(_item("packing", prompt, parts, lines, "easy" if count < 6 else "medium"))
    return made


def _dishes(rng: random.Random) -> list[dict[str, Any]]:
    """Dishes that all use one ingredient (8 items)."""
    made = []
    for ingredient, dishes in DISHES.items():
        count = rng.randint(4, 5)
        prompt = rng.choice(
            [
                "Our garden club cooks together and has too much {food}. Suggest {n} different dishes.",
                "What can I cook with {food}? I would like {n} different dishes.",
            ]
        ).format(food=ingredient, n=NUMBER_WORDS[count])
        prompt += f' Put each dish on its own line and use the word "{ingredient}" in every line.'
        lines = [f"{ingredient.capitalize()} {dish}" for dish in rng.sample(dishes, count)]
        named = {"kind": "keyword_count", "word": ingredient, "min": count}
        parts = [_listed(count, 2, 20), _part("format", constraints=[named])]
        made.append(_item("ingredient-dishes", prompt, parts, lines, "medium"))
    return made


def _two_sides(rng: random.Random) -> list[dict[str, Any]]:
    """Arguments for and against, marked as such (7 items)."""
    made = []
    for choice, (gains, losses) in CHOICES.items():
        for_count, against_count = rng.choice([(3, 2), (2, 3), (2, 2)])
        prompt = (
            f"List {_number(for_count)} advantages and {_number(against_count)} disadvantages of {choice}. "
            'Give each its own line, starting with "Plus:" or "Minus:".'
        )
        lines = [f"Plus: {idea}" for idea, _ in rng.sample(gains, for_count)]
        lines += [f"Minus: {idea}" for idea, _ in rng.sample(losses, against_count)]
        marks = [
            {"kind": "keyword_count", "word": "plus", "min": for_count},
            {"kind": "keyword_count", "word": "minus", "min": against_count},
        ]
        parts = [_listed(len(lines), 2, 30), _part("format", constraints=marks), _sorts(gains + losses, 2)]
        made.append(_item("two-sides", prompt, parts, lines, "medium" if len(lines) == 4 else "hard"))
    return made


def _interviews(rng: random.Random) -> list[dict[str, Any]]:
    """Questions for a person with an uncommon job (7 items)."""
    made = []
    for person, ideas in INTERVIEWS.items():
        count = rng.randint(3, 5)
        prompt = (
            f"A school magazine will interview {person}. Write {_number(count)} questions about the job. "
            "Put each question on its own line and end it with a question mark."
        )
        lines = [question for question, _ in rng.sample(ideas, count)]
        marked = {"kind": "letter_count", "letter": "?", "min": count}
        parts = [_listed(count, 3, 30), _part("format", constraints=[marked]), _sorts(ideas, 2)]
        made.append(_item("interview", prompt, parts, lines, "medium" if count < 5 else "hard"))
    return made


def _number(count: int) -> str:
    return NUMBER_WORDS.get(count, "two")


def _part(verifier: str, **args: Any) -> dict[str, Any]:
    return {"verifier": verifier, "args": args}


def _listed(count: int, min_words: int, max_words: int) -> dict[str, Any]:
    """The asked number of entries; one more is forgiven, because a heading may count as one."""
    return _part(
        "list_items",
        min_items=count,
        max_items=count + 1,
        min_words_per_item=min_words,
        max_words_per_item=max_words,
    )


def _sorts(ideas: list[Idea], needed: int) -> dict[str, Any]:
    """At least `needed` of the known sorts of idea; the share is rounded down, never missed by a hair."""
    share = 1000 * needed // len(ideas) / 1000
    return _part("facts", required=[marks.split("|") for _, marks in ideas], min_share=share)


def _item(name: str, prompt: str, parts: list[dict[str, Any]], lines: list[str], difficulty: str) -> dict[str, Any]:
    return {
        "category": "brainstorming",
        "prompt": prompt,
        "verifier": "all",
        "args": {"of": [*parts, _part("copy_limit", max_share=0.6)]},
        "reference": "\n".join(f"- {line}" for line in lines),
        "difficulty": difficulty,
        "cluster": f"brainstorming-{name}",
        "origin": f"template:{name}",
    }
