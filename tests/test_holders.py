"""Names of one holder: merged where they are surely one, and apart where they may be two."""

import random

import pytest

from stance.text.names import merge_holders


@pytest.mark.parametrize(
    ("mentions", "name"),
    [
        (["Egypt", "EGYPT", "Egypt's", "Egypt’s"], "Egypt"),
        (["the Arab League", "Arab League", "an Arab League"], "Arab League"),
        (["Hafter", "Haftar", "Haftar", "Heftar"], "Haftar"),
        (["Khalifa Haftar", "Field Marshal Hafter", "Gen. Haftar", "General Khalifa Hifter", "Haftar’s"], None),
        (["Fayez al-Serraj", "Prime Minister Sarraj", "Serraj", "Mr. el-Serraj"], "Fayez al-Serraj"),
        (["Libyan Foreign Minister Mohamed Siala", "Siala", "Muhammad Siala", "Mohamed Taher Siala"], None),
        (["President Abdel Fattah el-Sisi", "Sisi", "Abdel-Fattah al-Sisi"], None),
        (["UN envoy Martin Kobler", "Kobler", "the envoy Martin Kobler"], "Martin Kobler"),
        (["U.N.", "UN", "the United Nations"], None),
        (["Security Council", "UN Security Council", "the U.N. Security Council"], None),
        (["Government of National Accord", "the GNA", "GNA"], None),
        (["U.S.", "United States", "the US"], None),
        (["Côte d’Ivoire", "Cote d’Ivoire"], None),
    ],
)
def test_one_holder(mentions: list[str], name: str | None) -> None:
    merged = merge_holders(mentions)
    assert list(merged) == list(dict.fromkeys(mentions))
    assert len(set(merged.values())) == 1
    assert name is None or set(merged.values()) == {name}


@pytest.mark.parametrize(
    "mentions",
    [
        ["Saif Gaddafi", "Muammar Gaddafi", "Gaddafi"],
        ["South Sudan", "Sudan"],
        ["Guinea", "Guyana", "Papua New Guinea"],
        ["Mali", "Male"],
        ["eastern Libya", "Libya"],
        ["Egypt", "Jordan", "Egypt and Jordan", "Egypt, Jordan"],
        ["Security Council", "Security Council members", "Council"],
        ["Foreign Minister", "Egyptian Foreign Minister Sameh Shoukry"],
        ["General Assembly", "General National Congress"],
        ["Martin Kobler", "Martin Morton"],
        ["African Union", "Union", "European Union"],
        ["Libyan National Army", "Libyan News Agency", "LNA"],
        ["us", "US"],
        ["author", "Author", "the author's wife"],
        ["Mohamed Taher Siala", "Mohamed Ali Siala", "Siala"],
        ["he", "they"],
        ["", "..."],
    ],
)
def test_what_may_be_two_stays_apart(mentions: list[str]) -> None:
    assert len(set(merge_holders(mentions).values())) == len(mentions) - (mentions == ["", "..."])


def test_the_order_of_mentions_does_not_matter() -> None:
    mentions = ["Khalifa Haftar", "Hafter", "Haftar", "GNA", "Government of National Accord", "Sudan", "South Sudan"]
    mentions += ["Mohamed Siala", "Mohamed Taher Siala", "Siala", "the U.N.", "United Nations", "Security Council"]
    expected = merge_holders(mentions)
    for seed in range(20):
        random.Random(seed).shuffle(mentions)
        assert merge_holders(mentions) == expected


def test_no_mention_is_no_holder() -> None:
    assert merge_holders([]) == {}
    assert merge_holders(["author"]) == {"author": "author"}
