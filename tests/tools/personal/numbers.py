"""Numbers that are nobody's, with the check digits their kind has: identity numbers, accounts and cards.

Each comes from a hash of where it stands, so a second run writes the same, and no number is taken from a person.
"""

from __future__ import annotations

import datetime
import functools
import random
import re
import string
from typing import Callable

Made = Callable[..., str]
KINDS: dict[str, Made] = {}


def number(place: str, spec: str) -> str:
    """What `spec` asks for: a kind, its arguments after `/`, and after `~` how it is written (`4`, `-4` or `raw`)."""
    spec, _, style = spec.partition("~")
    kind, *arguments = spec.partition("#")[0].split("/")
    made = KINDS[kind](Dice(f"{place}:{spec}"), *arguments)
    if not style:
        return made
    bare = re.sub(r"[^0-9A-Za-z]", "", made)
    if style == "raw":
        return bare
    joint, width = ("-", int(style[1:])) if style.startswith("-") else (" ", int(style))
    return joint.join(bare[at : at + width] for at in range(0, len(bare), width))


class Dice:
    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def digits(self, count: int) -> str:
        return "".join(str(self.random.randrange(10)) for _ in range(count))

    def of(self, letters: str, count: int = 1) -> str:
        return "".join(letters[self.random.randrange(len(letters))] for _ in range(count))

    def between(self, low: int, high: int) -> int:
        return low + self.random.randrange(high - low + 1)

    def day(self, wanted: str = "") -> datetime.date:
        if wanted:
            return datetime.date.fromisoformat(wanted)
        return datetime.date(self.between(1945, 1999), self.between(1, 12), self.between(1, 28))

    def sex(self, wanted: str = "") -> int:
        """1 for a man, 0 for a woman: the parity that most such numbers use."""
        return {"m": 1, "f": 0}.get(wanted, self.between(0, 1))


def kind(*names: str) -> Callable[[Made], Made]:
    def keep(made: Made) -> Made:
        KINDS.update(dict.fromkeys(names, made))
        return made

    return keep


def retry(made: Made) -> Made:
    """For numbers some of which have no check digit: the next is tried, as the offices that give them out do."""

    @functools.wraps(made)
    def until(dice: Dice, *arguments: str) -> str:
        while True:
            found = made(dice, *arguments)
            if found:
                return found

    return until


def weighted(digits: str, weights: str | list[int]) -> int:
    return sum(int(digit) * int(weight) for digit, weight in zip(digits, weights, strict=True))


def luhn(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def mod_11_10(digits: str) -> str:
    product = 10
    for digit in digits:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return str((11 - product) % 10)


def cross(digits: str, weights: list[int]) -> str:
    return str(sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(digits, weights, strict=True)) % 10)


DIHEDRAL = (
    "0123456789 1234067895 2340178956 3401289567 4012395678 5987604321 6598710432 7659821043 8765932104 9876543210"
).split()
TURNS = "0123456789 1576283094 5803796142 8916043527 9453126870 4286573901 2793806415 7046913258".split()


def verhoeff(digits: str) -> str:
    state = 0
    for place, digit in enumerate(reversed(digits), start=1):
        state = int(DIHEDRAL[state][int(TURNS[place % 8][int(digit)])])
    return next(str(other) for other in range(10) if DIHEDRAL[state][other] == "0")


# Accounts and cards.

BBAN = {
    "de": "18n", "at": "16n", "ch": "17n", "fr": "23n", "es": "20n", "pt": "21n", "be": "12n", "pl": "24n", "lu": "16n",
    "dk": "14n", "se": "20n", "no": "11n", "fi": "14n", "cz": "20n", "it": "1a22n",
    "gb": "4a14n", "nl": "4a10n", "ie": "4a14n", "ro": "4a16n", "hu": "24n",
}  # fmt: skip


@kind("iban")
def iban(dice: Dice, country: str) -> str:
    own = ""
    for count, letter in re.findall(r"(\d+)([an])", BBAN[country]):
        own += dice.of(string.ascii_uppercase, int(count)) if letter == "a" else dice.digits(int(count))
    own = checked_at_home(country, own)
    spelled = "".join(str(int(char, 36)) for char in own + country.upper() + "00")
    return f"{country.upper()}{98 - int(spelled) % 97:02}{own}"


def checked_at_home(country: str, own: str) -> str:
    """The account with the check digits that its country had before there were any of the IBAN."""
    if country == "es":
        weights = [1, 2, 4, 8, 5, 10, 9, 7, 3, 6]
        checks = [-weighted(part, weights) % 11 for part in (f"00{own[:8]}", own[10:])]
        return own[:8] + "".join(str(1 if check == 10 else check) for check in checks) + own[10:]
    if country == "be":
        return f"{own[:10]}{int(own[:10]) % 97 or 97:02}"
    if country == "no":
        check = -weighted(own[:10], "5432765432") % 11
        return f"{own[:10]}{check}" if check < 10 else checked_at_home(country, f"{(int(own[:10]) + 1) % 10**10:010}0")
    return own


@kind("card")
def card(dice: Dice, brand: str = "visa") -> str:
    start = {"visa": "4", "mc": f"5{dice.between(1, 5)}", "amex": "37", "maestro": "6759"}[brand]
    length = 15 if brand == "amex" else 16
    bare = start + dice.digits(length - 1 - len(start))
    bare += luhn(bare)
    return f"{bare[:4]} {bare[4:10]} {bare[10:]}" if brand == "amex" else bare


@kind("us.aba")
def us_aba(dice: Dice) -> str:
    bare = "0" + str(dice.between(1, 9)) + dice.digits(6)
    return bare + str(-weighted(bare, "37137137") % 10)


# Germany, Austria, Switzerland, the Low Countries.


@kind("de.steuerid")
@retry
def de_tax(dice: Dice) -> str:
    places = list("0123456789")
    dice.random.shuffle(places)
    places[9] = places[dice.between(0, 8)]
    dice.random.shuffle(places)
    bare = "".join(places)
    return "" if bare[0] == "0" else f"{bare[:2]} {bare[2:5]} {bare[5:8]} {bare[8:]}{mod_11_10(bare)}"


@kind("de.rvnr")
def de_pension(dice: Dice, born: str = "", letter: str = "M") -> str:
    bare = f"{dice.between(10, 29)}{dice.day(born):%d%m%y}"
    serial = dice.digits(2)
    digits = f"{bare}{ord(letter) - 64:02}{serial}"
    return f"{bare[:2]} {bare[2:]} {letter} {serial}{cross(digits, [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])}"


@kind("de.kvnr")
def de_health(dice: Dice) -> str:
    letter, bare = dice.of(string.ascii_uppercase), dice.digits(8)
    return letter + bare + cross(f"{ord(letter) - 64:02}{bare}", [1, 2] * 5)


@kind("de.perso")
def de_card(dice: Dice) -> str:
    bare = dice.of("LMNPRTVWXY") + dice.of("CFGHJKLMNPRTVWXYZ0123456789", 8)
    return bare + str(sum(int(char, 36) * weight for char, weight in zip(bare, [7, 3, 1] * 3)) % 10)


@kind("at.svnr")
@retry
def at_social(dice: Dice, born: str = "") -> str:
    serial, day = str(dice.between(100, 999)), f"{dice.day(born):%d%m%y}"
    check = weighted(serial + day, "379584216") % 11
    return "" if check == 10 else f"{serial}{check} {day}"


@kind("ch.ahv")
def ch_social(dice: Dice) -> str:
    bare = "756" + dice.digits(9)
    bare += str(-weighted(bare, "131313131313") % 10)
    return f"{bare[:3]}.{bare[3:7]}.{bare[7:11]}.{bare[11:]}"


@kind("nl.bsn")
@retry
def nl_service(dice: Dice) -> str:
    bare = str(dice.between(1, 8)) + dice.digits(7)
    check = weighted(bare, "98765432") % 11
    return "" if check == 10 else f"{bare}{check}"


@kind("be.rrn")
def be_register(dice: Dice, born: str = "", sex: str = "") -> str:
    day = dice.day(born)
    serial = f"{dice.between(0, 400) * 2 + 1 + (1 - dice.sex(sex)):03}"
    bare = f"{day:%y%m%d}{serial}"
    check = f"{97 - int(('2' if day.year >= 2000 else '') + bare) % 97:02}"
    return f"{bare[:2]}.{bare[2:4]}.{bare[4:6]}-{serial}.{check}"


@kind("lu.matricule")
def lu_register(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%Y%m%d}{dice.digits(3)}"
    return f"{bare}{luhn(bare)}{verhoeff(bare)}"


# France, Spain, Italy, Portugal, Greece.


@kind("fr.nir")
def fr_register(dice: Dice, born: str = "", sex: str = "") -> str:
    day = dice.day(born)
    bare = f"{2 - dice.sex(sex)}{day:%y%m}{dice.between(1, 18):02}{dice.between(1, 400):03}{dice.between(1, 500):03}"
    return f"{bare[0]} {bare[1:3]} {bare[3:5]} {bare[5:7]} {bare[7:10]} {bare[10:]} {97 - int(bare) % 97:02}"


@kind("fr.spi")
def fr_tax(dice: Dice) -> str:
    bare = str(dice.between(0, 3)) + dice.digits(9)
    whole = f"{bare}{int(bare) % 511:03}"
    return f"{whole[:2]} {whole[2:4]} {whole[4:7]} {whole[7:10]} {whole[10:]}"


DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


@kind("es.dni")
def es_card(dice: Dice) -> str:
    bare = dice.digits(8)
    return bare + DNI[int(bare) % 23]


@kind("es.nie")
def es_foreigner(dice: Dice) -> str:
    first, bare = dice.between(0, 2), dice.digits(7)
    return f"{'XYZ'[first]}{bare}{DNI[int(f'{first}{bare}') % 23]}"


@kind("es.nss")
def es_social(dice: Dice) -> str:
    bare = f"{dice.between(1, 50):02}{dice.between(10000000, 99999999)}"
    return f"{bare[:2]}/{bare[2:]}/{int(bare) % 97:02}"


ODD_VALUES = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21] * 2 + [2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]
ODD = dict(zip(string.digits + string.ascii_uppercase, ODD_VALUES, strict=True))


@kind("it.cf")
def it_tax(dice: Dice, surname: str, name: str, born: str, sex: str, place: str) -> str:
    day = dice.day(born)
    consonants = [char for char in name if char not in "AEIOU"]
    first = "".join(consonants[at] for at in (0, 2, 3)) if len(consonants) > 3 else three(name)
    month, of_month = "ABCDEHLMPRST"[day.month - 1], day.day + (40 if sex == "f" else 0)
    bare = f"{three(surname)}{first}{day:%y}{month}{of_month:02}{place}"
    odd = sum(ODD[char] for char in bare[::2])
    even = sum(int(char) if char.isdigit() else ord(char) - 65 for char in bare[1::2])
    return bare + string.ascii_uppercase[(odd + even) % 26]


def three(name: str) -> str:
    vowels = "".join(char for char in name if char in "AEIOU")
    return ("".join(char for char in name if char not in "AEIOU") + vowels + "XXX")[:3]


@kind("it.ts")
def it_health(dice: Dice) -> str:
    bare = "8038000" + dice.digits(12)
    return bare + luhn(bare)


@kind("it.piva")
def it_vat(dice: Dice) -> str:
    bare = f"0{dice.digits(6)}{dice.between(1, 95):03}"
    return bare + luhn(bare)


@kind("pt.nif")
def pt_tax(dice: Dice) -> str:
    bare = dice.of("12") + dice.digits(7)
    check = 11 - weighted(bare, "98765432") % 11
    return f"{bare[:3]} {bare[3:6]} {bare[6:]}{check if check < 10 else 0}"


@kind("pt.cc")
def pt_card(dice: Dice) -> str:
    bare = "1" + dice.digits(7)
    check = 11 - weighted(bare, "98765432") % 11
    bare += str(check if check < 10 else 0) + "Z" + dice.of("XYZ")
    total = 0
    for place, char in enumerate(reversed(bare)):
        value = int(char, 36) * (2 if place % 2 == 0 else 1)
        total += value - 9 if place % 2 == 0 and value > 9 else value
    return f"{bare[:8]} {bare[8]} {bare[9:]}{-total % 10}"


@kind("pt.niss")
def pt_social(dice: Dice) -> str:
    bare = "1" + dice.digits(9)
    return bare + str(9 - weighted(bare, [29, 23, 19, 17, 13, 11, 7, 5, 3, 2]) % 10)


@kind("gr.amka")
def gr_social(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%d%m%y}{dice.digits(4)}"
    return bare + luhn(bare)


@kind("gr.afm")
def gr_tax(dice: Dice) -> str:
    bare = "1" + dice.digits(7)
    return bare + str(weighted(bare, [256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10)


# The north and the Baltic.


@kind("se.pnr")
def se_register(dice: Dice, born: str = "") -> str:
    day, serial = f"{dice.day(born):%y%m%d}", dice.digits(3)
    return f"{day}-{serial}{luhn(day + serial)}"


@kind("no.fnr")
@retry
def no_register(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%d%m%y}{dice.between(0, 499):03}"
    first = -weighted(bare, "376189452") % 11
    second = -weighted(f"{bare}{first}", "5432765432") % 11 if first < 10 else 10
    return "" if second == 10 else f"{bare[:6]} {bare[6:]}{first}{second}"


@kind("dk.cpr")
@retry
def dk_register(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%d%m%y}{dice.of('0123')}{dice.digits(2)}"
    check = -weighted(bare, "432765432") % 11
    return "" if check == 10 else f"{bare[:6]}-{bare[6:]}{check}"


@kind("fi.hetu")
def fi_register(dice: Dice, born: str = "") -> str:
    day, serial = f"{dice.day(born):%d%m%y}", f"{dice.between(2, 899):03}"
    return f"{day}-{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(day + serial) % 31]}"


@kind("is.kt")
@retry
def is_register(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%d%m%y}{dice.between(20, 99)}"
    check = -weighted(bare, "32765432") % 11
    return "" if check == 10 else f"{bare[:6]}-{bare[6:]}{check}9"


@kind("ee.isikukood", "lt.asmens")
def baltic(dice: Dice, born: str = "", sex: str = "") -> str:
    bare = f"{4 - dice.sex(sex)}{dice.day(born):%y%m%d}{dice.digits(3)}"
    check = weighted(bare, "1234567891") % 11
    if check == 10:
        check = weighted(bare, "3456789123") % 11 % 10
    return f"{bare}{check}"


@kind("lv.kods")
def lv_register(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%d%m%y}1{dice.digits(3)}"
    check = (1101 - weighted(bare, [1, 6, 3, 7, 9, 10, 5, 8, 4, 2])) % 11 % 10
    return f"{bare[:6]}-{bare[6:]}{check}"


# The middle and the east.


@kind("pl.pesel")
def pl_register(dice: Dice, born: str = "", sex: str = "") -> str:
    day = dice.day(born)
    month = day.month + (20 if day.year >= 2000 else 0)
    bare = f"{day:%y}{month:02}{day:%d}{dice.digits(3)}{dice.between(0, 4) * 2 + dice.sex(sex)}"
    return bare + str(-weighted(bare, "1379137913") % 10)


@kind("pl.nip")
@retry
def pl_tax(dice: Dice) -> str:
    bare = str(dice.between(1, 9)) + dice.digits(8)
    check = weighted(bare, "657234567") % 11
    return "" if check == 10 else f"{bare[:3]}-{bare[3:6]}-{bare[6:8]}-{bare[8]}{check}"


@kind("cz.rc", "sk.rc")
@retry
def cz_birth(dice: Dice, born: str = "", sex: str = "") -> str:
    day = dice.day(born)
    bare = f"{day:%y}{day.month + (0 if dice.sex(sex) else 50):02}{day:%d}{dice.digits(3)}"
    return "" if int(bare) % 11 == 10 else f"{bare[:6]}/{bare[6:]}{int(bare) % 11}"


@kind("ro.cnp")
def ro_register(dice: Dice, born: str = "", sex: str = "") -> str:
    bare = f"{2 - dice.sex(sex)}{dice.day(born):%y%m%d}{dice.between(1, 40):02}{dice.between(1, 999):03}"
    check = weighted(bare, "279146358279") % 11
    return f"{bare}{1 if check == 10 else check}"


@kind("bg.egn")
def bg_register(dice: Dice, born: str = "") -> str:
    bare = f"{dice.day(born):%y%m%d}{dice.digits(3)}"
    return bare + str(weighted(bare, [2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10)


@kind("hr.oib")
def hr_register(dice: Dice) -> str:
    bare = dice.digits(10)
    return bare + mod_11_10(bare)


@kind("si.emso", "rs.jmbg")
@retry
def balkan(dice: Dice, born: str = "", region: str = "50") -> str:
    day = dice.day(born)
    bare = f"{day:%d%m}{day.year % 1000:03}{region}{dice.digits(3)}"
    check = -weighted(bare, "765432765432") % 11
    return "" if check == 10 else f"{bare}{check}"


@kind("hu.szemelyi")
@retry
def hu_register(dice: Dice, born: str = "", sex: str = "") -> str:
    bare = f"{2 - dice.sex(sex)}{dice.day(born):%y%m%d}{dice.digits(3)}"
    check = weighted(bare, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) % 11
    return "" if check == 10 else f"{bare[0]} {bare[1:7]} {bare[7:]}{check}"


@kind("hu.taj")
def hu_health(dice: Dice) -> str:
    bare = dice.digits(8)
    return f"{bare[:3]} {bare[3:6]} {bare[6:]}{weighted(bare, '37373737') % 10}"


@kind("ua.rnokpp")
def ua_tax(dice: Dice) -> str:
    bare = str(dice.between(2, 3)) + dice.digits(8)
    return bare + str(weighted(bare, [-1, 5, 7, 9, 4, 6, 10, 5, 7]) % 11 % 10)


@kind("tr.tckn")
def tr_register(dice: Dice) -> str:
    bare = str(dice.between(1, 9)) + dice.digits(8)
    bare += str((7 * sum(map(int, bare[::2])) - sum(map(int, bare[1::2]))) % 10)
    return bare + str(sum(map(int, bare)) % 10)


# English-speaking countries.


@kind("gb.nino")
def gb_insurance(dice: Dice) -> str:
    bare = dice.digits(6)
    prefix = dice.of("ABCEHJKLMPRSTWXY") + dice.of("ABCEHKLMPRSTWX")
    return f"{prefix} {bare[:2]} {bare[2:4]} {bare[4:]} {dice.of('ABCD')}"


@kind("gb.nhs")
@retry
def gb_health(dice: Dice) -> str:
    bare = str(dice.between(4, 7)) + dice.digits(8)
    check = -weighted(bare, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11
    return "" if check == 10 else f"{bare[:3]} {bare[3:6]} {bare[6:]}{check}"


@kind("gb.utr")
def gb_tax(dice: Dice) -> str:
    bare = dice.digits(9)
    return "21987654321"[weighted(bare, [6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11] + bare


@kind("ie.pps")
def ie_service(dice: Dice) -> str:
    bare = "1" + dice.digits(6)
    return bare + "WABCDEFGHIJKLMNOPQRSTUV"[weighted(bare, "8765432") % 23]


@kind("us.ssn")
def us_social(dice: Dice) -> str:
    return f"{dice.between(100, 599)}-{dice.between(10, 99)}-{dice.between(1000, 9999)}"


@kind("us.itin")
def us_tax(dice: Dice) -> str:
    return f"9{dice.digits(2)}-{dice.between(70, 88)}-{dice.between(1000, 9999)}"


@kind("us.mbi")
def us_health(dice: Dice) -> str:
    letters = "ACDEFGHJKMNPQRTUVWXY"
    some = letters + string.digits
    first = dice.of("123456789") + dice.of(letters) + dice.of(some) + dice.digits(1)
    second = dice.of(letters) + dice.of(some) + dice.digits(1)
    return f"{first}-{second}-{dice.of(letters, 2)}{dice.digits(2)}"


@kind("ca.sin")
def ca_social(dice: Dice) -> str:
    bare = str(dice.between(1, 7)) + dice.digits(7)
    bare += luhn(bare)
    return f"{bare[:3]} {bare[3:6]} {bare[6:]}"


@kind("ca.ohip")
def ca_health(dice: Dice) -> str:
    bare = str(dice.between(1, 9)) + dice.digits(8)
    bare += luhn(bare)
    return f"{bare[:4]}-{bare[4:7]}-{bare[7:]}-{dice.of('ABCDEFGHJK', 2)}"


@kind("au.tfn")
@retry
def au_tax(dice: Dice) -> str:
    bare = str(dice.between(1, 9)) + dice.digits(7)
    check = weighted(bare, [1, 4, 3, 7, 5, 8, 6, 9]) % 11
    return "" if check == 10 else f"{bare[:3]} {bare[3:6]} {bare[6:]}{check}"


@kind("au.medicare")
def au_health(dice: Dice) -> str:
    bare = str(dice.between(2, 6)) + dice.digits(7)
    return f"{bare[:4]} {bare[4:]}{weighted(bare, '13791379') % 10} 1"


@kind("nz.nhi")
@retry
def nz_health(dice: Dice) -> str:
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    start, bare = dice.of(letters, 3), dice.digits(3)
    total = sum((letters.index(char) + 1) * weight for char, weight in zip(start, (7, 6, 5))) + weighted(bare, "432")
    return "" if total % 11 == 0 else f"{start}{bare}{(11 - total % 11) % 10}"


@kind("za.id")
def za_register(dice: Dice, born: str = "", sex: str = "") -> str:
    bare = f"{dice.day(born):%y%m%d}{dice.between(5000, 9999) if dice.sex(sex) else dice.between(0, 4999):04}08"
    return bare + luhn(bare)


# Latin America.


@kind("br.cpf")
def br_tax(dice: Dice) -> str:
    bare = dice.digits(9)
    for weights in ([10, 9, 8, 7, 6, 5, 4, 3, 2], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]):
        check = -weighted(bare, weights) % 11
        bare += str(check if check < 10 else 0)
    return f"{bare[:3]}.{bare[3:6]}.{bare[6:9]}-{bare[9:]}"


@kind("br.rg")
def br_card(dice: Dice) -> str:
    bare = str(dice.between(1, 5)) + dice.digits(7)
    check = -weighted(bare, "23456789") % 11
    return f"{bare[:2]}.{bare[2:5]}.{bare[5:]}-{'X' if check == 10 else check}"


@kind("br.cns")
@retry
def br_health(dice: Dice) -> str:
    bare = "7" + dice.digits(13)
    check = -weighted(bare, [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11
    return "" if check == 10 else f"{bare[:3]} {bare[3:7]} {bare[7:11]} {bare[11:]}{check}"


@kind("br.cnh")
@retry
def br_licence(dice: Dice) -> str:
    bare = "0" + dice.digits(8)
    first, second = weighted(bare, "987654321") % 11, weighted(bare, "123456789") % 11
    return "" if 10 in (first, second) else f"{bare}{first}{second}"


@kind("ar.cuil")
@retry
def ar_labour(dice: Dice, sex: str = "") -> str:
    bare = f"{20 if dice.sex(sex) else 27}{dice.between(14000000, 44000000)}"
    check = -weighted(bare, "5432765432") % 11
    return "" if check == 10 else f"{bare[:2]}-{bare[2:]}-{check}"


@kind("cl.rut")
def cl_register(dice: Dice) -> str:
    bare = str(dice.between(10000000, 22000000))
    check = "0K987654321"[weighted(bare, "32765432") % 11]
    return f"{bare[:2]}.{bare[2:5]}.{bare[5:]}-{check}"


@kind("mx.curp")
def mx_register(dice: Dice, letters: str, born: str, rest: str) -> str:
    """`letters` are the four of the name, `rest` sex, state and consonants."""
    bare = f"{letters}{dice.day(born):%y%m%d}{rest}0"
    order = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    return bare + str(-sum(order.index(char) * (18 - place) for place, char in enumerate(bare)) % 10)


@kind("ec.cedula")
def ec_card(dice: Dice) -> str:
    bare = f"{dice.between(1, 24):02}{dice.between(0, 5)}{dice.digits(6)}"
    return bare + luhn(bare)


# Asia.


@kind("in.aadhaar")
def in_register(dice: Dice) -> str:
    bare = str(dice.between(2, 9)) + dice.digits(10)
    bare += verhoeff(bare)
    return f"{bare[:4]} {bare[4:8]} {bare[8:]}"


@kind("in.pan")
def in_tax(dice: Dice, initial: str = "K") -> str:
    return f"{dice.of(string.ascii_uppercase, 3)}P{initial}{dice.between(1000, 9999)}{dice.of(string.ascii_uppercase)}"


@kind("cn.rid")
def cn_card(dice: Dice, born: str = "") -> str:
    bare = f"{('110105', '310104', '440305', '510104')[dice.between(0, 3)]}{dice.day(born):%Y%m%d}{dice.digits(3)}"
    return bare + "10X98765432"[weighted(bare, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11]


@kind("kr.rrn")
def kr_register(dice: Dice, born: str = "", sex: str = "") -> str:
    bare = f"{dice.day(born):%y%m%d}{2 - dice.sex(sex)}{dice.between(0, 90):02}{dice.digits(3)}"
    return f"{bare[:6]}-{bare[6:]}{(11 - weighted(bare, '234567892345') % 11) % 10}"


@kind("jp.my")
def jp_register(dice: Dice) -> str:
    bare = dice.digits(11)
    check = 11 - weighted(bare, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
    return f"{bare[:4]} {bare[4:8]} {bare[8:]}{check if check < 10 else 0}"


@kind("sg.nric")
def sg_card(dice: Dice) -> str:
    bare = dice.digits(7)
    return f"S{bare}{'JZIHGFEDCBA'[weighted(bare, '2765432') % 11]}"


@kind("hk.hkid")
def hk_card(dice: Dice) -> str:
    letter, bare = dice.of("ABCDGHKPRVYZ"), dice.digits(6)
    check = -(9 * 36 + 8 * int(letter, 36) + weighted(bare, "765432")) % 11
    return f"{letter}{bare}({'A' if check == 10 else check})"


@kind("th.id")
def th_card(dice: Dice) -> str:
    bare = str(dice.between(1, 8)) + dice.digits(11)
    bare += str((11 - weighted(bare, [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10)
    return f"{bare[0]}-{bare[1:5]}-{bare[5:10]}-{bare[10:12]}-{bare[12]}"


@kind("il.tz")
def il_register(dice: Dice) -> str:
    bare = dice.digits(8)
    return bare + luhn(bare)
