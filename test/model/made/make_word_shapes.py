"""The shapes of words by Python's own idea of cases and digits: the oracle of test/model/word-shapes.test.ts.

    python test/model/made/make_word_shapes.py
"""
import json, pathlib, random, unicodedata


def shape(word):
    if not word.strip():
        return "special"
    category = [unicodedata.category(sign) for sign in word]
    letters = [sign for sign, kind in zip(word, category) if kind[0] == "L"]
    upper = [sign for sign in letters if unicodedata.category(sign) in ("Lu", "Lt")]
    if any(kind[0] == "N" for kind in category):
        return "with digits" if letters else "digits"
    if not letters:
        return "punctuation"
    if not upper:
        return "lower"
    if not any(unicodedata.category(sign) == "Ll" for sign in letters):
        return "capital" if len(letters) == 1 else "upper"
    is_title = letters[0] in upper and len(upper) == 1
    return "title" if is_title else "mixed"


WORDS = """the The THE tHE McDonald iPhone I a A é É Éa 12 1996-08-22 B2B 3rd G7 . , -- ' « U.S. U.S o'Brien O'Brien EU
北京 ПРИВЕТ Привет привет Ω ω ǅ ǅa ½ ② Ⅳ ª ß ẞ İstanbul ı ﬁ x-ray X-Ray X-ray don't DON'T № € © 😀 ￥１２ ａｂ ＡＢ
ابجد ٣ नमस्ते e´ È e\u0301 E\u0301 \u0301 Ǆ""".split() + ["", " ", "\n", "\u00a0"]

random.seed(3)
SIGNS = list("abcXYZ019.-'éÉßЖж京½ ")
WORDS += ["".join(random.choices(SIGNS, k=random.randint(1, 5))) for _ in range(200)]

if __name__ == "__main__":
    shapes = {word: shape(word) for word in WORDS}
    file = pathlib.Path(__file__).parent / "word-shapes.json"
    file.write_text(json.dumps(shapes, ensure_ascii=False, indent=2) + "\n")
