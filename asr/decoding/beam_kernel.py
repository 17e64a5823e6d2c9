"""The inner loop of prefix beam search, compiled; `asr.decoding.prefix_beam` says what it does.

Of the many prefixes that a step could grow, only those that enter the beam become nodes: a heap of
the best so far turns the others away, most of them unseen, since the tokens are tried from the most
probable on.
"""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled, compiled_borrowing
from asr.decoding.fusion_kernel import (
    EARNED,
    NUM_ADDED,
    SHOWN,
    SPACE,
    Tables,
    begin,
    finish,
    is_letter,
    is_quiet,
    reach,
    read,
    stand,
)
from asr.decoding.heap_kernel import ACOUSTIC, RANK, Heap, offer, sort
from asr.decoding.prefix_kernel import (
    NONE,
    PARENT,
    PLACE,
    STATE,
    TOKEN,
    add_child,
    child_of,
    first_nodes,
    roomier,
)
from asr.decoding.recombination_kernel import drop_beaten
from asr.decoding.token_kernel import Lexicon, probable_tokens, set_floors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

# The columns of the beam's log-probabilities: of the alignments that end in a blank, of those that
# end in the last token, and of both.
BLANK, LAST, TOTAL = range(3)
NEVER = -np.inf


@compiled
def search(
    log_probs: Floats,
    blank_id: int,
    beam_width: int,
    floor: float,
    lexicon: Lexicon,
    is_fused: bool,
    tables: Tables,
    alike: Ints,
    remembers: bool,
) -> tuple[Ints, Ints, Floats, Floats, Ints, Floats]:
    """Searches one utterance.

    Args:
        log_probs: float64 [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.
        beam_width: Prefixes kept from one step to the next.
        floor: A token less probable than this begins nothing new, unless it is the best there is.
        lexicon: The ways on from each state.
        is_fused: Whether anything is added to what the network says.
        tables: What is: `Fusion.tables`.
        alike: Room for `drop_beaten`; empty if what is beaten may stay.
        remembers: Whether it notes what is beaten.

    Returns:
        The nodes; the beam's nodes [size], best first; its log-probabilities [size]; what is
        added to them where the text ends here [size, 2]: all of it, and of that the language
        model's log-probability; and what `drop_beaten` has noted.
    """
    nodes = first_nodes(beam_width)
    added = np.zeros((len(nodes), NUM_ADDED))
    begin(nodes, added, tables[3], tables[5])
    num_nodes = size = 1
    beam = np.zeros(beam_width, np.int32)
    scores = np.zeros((beam_width, 3))
    scores[0, LAST] = NEVER
    stayed = np.empty((beam_width, 3))
    floors = np.empty(beam_width)
    heap = np.empty((beam_width, 2)), np.empty((beam_width, 2), np.int32)
    num_beaten, room = 0, beam_width if remembers else 0
    beaten, behind = np.empty((room, 3), np.int32), np.empty((room, 1))
    for step in range(len(log_probs)):
        row = log_probs[step]
        tokens = probable_tokens(row, blank_id, floor)
        set_floors(floors, nodes, beam[:size], row, floor, lexicon)
        stay(nodes, beam[:size], scores, stayed, row, blank_id, floors)
        kept = 0
        for place in range(size - 1, -1, -1):  # the worst first: a heap is built from them faster
            node, total = int(beam[place]), stayed[place, TOTAL]
            if total > NEVER:
                kept = offer(
                    heap[0], heap[1], kept, nodes, total + added[node, SHOWN], total, node, NONE
                )
        kept = grow(
            heap,
            kept,
            nodes,
            added,
            beam[:size],
            scores,
            row,
            tokens,
            floors,
            lexicon,
            is_fused,
            tables,
        )
        if num_nodes + kept > len(nodes):
            nodes, added = roomier(nodes), roomier(added)
        sort(heap[0], heap[1], kept, nodes)
        keep_scores(heap, kept, nodes, scores, stayed)
        for place in range(size):
            nodes[beam[place], PLACE] = NONE
        num_nodes = settle(heap[1][:kept], nodes, added, num_nodes, beam, lexicon, is_fused, tables)
        size = kept
        if len(alike):
            if remembers and num_beaten + size > len(beaten):
                beaten, behind = roomier(beaten), roomier(behind)
            earned = added[:, EARNED]
            size, num_beaten = drop_beaten(
                nodes, earned, scores, beam, size, alike, beaten, behind, num_beaten, step
            )
    ends = np.zeros((size, 2))
    if is_fused:
        finish(nodes, added, beam[:size], ends, tables)
    beaten, behind = beaten[:num_beaten], behind[:num_beaten]
    return nodes[:num_nodes], beam[:size], scores[:size, TOTAL], ends, beaten, behind


@compiled_borrowing
def stay(
    nodes: Ints,
    beam: Ints,
    scores: Floats,
    stayed: Floats,
    row: Floats,
    blank_id: int,
    floors: Floats,
) -> None:
    """Lets each prefix go on without growing, and be reached from its parent in the beam."""
    for place in range(len(beam)):
        node = int(beam[place])
        last = int(nodes[node, TOKEN])
        blank = scores[place, TOTAL] + row[blank_id]
        held = NEVER
        if last != NONE:
            p = row[last]
            held = scores[place, LAST] + p
            parent = nodes[node, PARENT]
            source = nodes[parent, PLACE]
            if source != NONE and p >= floors[source]:
                column = BLANK if nodes[parent, TOKEN] == last else TOTAL
                held = log_add(held, scores[source, column] + p)
        stayed[place, BLANK] = blank
        stayed[place, LAST] = held
        stayed[place, TOTAL] = log_add(blank, held)


@compiled_borrowing
def grow(
    heap: Heap,
    kept: int,
    nodes: Ints,
    added: Floats,
    beam: Ints,
    scores: Floats,
    row: Floats,
    tokens: Ints,
    floors: Floats,
    lexicon: Lexicon,
    is_fused: bool,
    tables: Tables,
) -> int:
    """Offers the prefixes that the beam's may become by a token more and that are not in it."""
    first, ways, _ = lexicon
    found, sources = heap
    spelling, words, expected, hotwords, worth, settings, model = tables
    is_free = len(first) == 1
    after_letter = after_space = 0.0
    for place in range(len(beam)):
        node = int(beam[place])
        last = int(nodes[node, TOKEN])
        if not is_free:
            state = nodes[node, STATE]
            tokens = ways[first[state] : first[state + 1]]
        if is_fused:
            after_letter, after_space = reach(nodes, added, node, worth, settings)
        letters_are_free = is_quiet(nodes, node, settings)
        here, reachable = added[node, SHOWN], 0.0
        for number in range(len(tokens)):
            token = int(tokens[number])
            p = row[token]
            worst = found[0, RANK] if kept == len(found) else NEVER
            if is_free and scores[place, TOTAL] + p + here + max(after_letter, after_space) < worst:
                break  # the tokens that follow are less probable still
            # The same letter twice needs a blank between; without one it is the letter held.
            total = scores[place, BLANK if token == last else TOTAL] + p
            if is_fused:
                reachable = after_space if spelling[token, 1] == SPACE else after_letter
            if p < floors[place] or total == NEVER or total + here + reachable < worst:
                continue
            child = child_of(nodes, node, token)
            if child != NONE and nodes[child, PLACE] != NONE:
                continue  # in the beam already, and reached there
            shown = here
            if child != NONE:
                shown = added[child, SHOWN]
            elif is_fused and not (letters_are_free and is_letter(spelling, token)):
                shown = read(
                    nodes,
                    added,
                    node,
                    token,
                    spelling,
                    words,
                    expected,
                    hotwords,
                    worth,
                    settings,
                    model,
                )[-1]
            if shown > NEVER:
                kept = offer(found, sources, kept, nodes, total + shown, total, node, token)
    return kept


@compiled_borrowing
def keep_scores(heap: Heap, kept: int, nodes: Ints, scores: Floats, stayed: Floats) -> None:
    """Gives the candidates their log-probabilities as the next beam."""
    found, sources = heap
    for place in range(kept):
        if sources[place, 1] == NONE:
            source = nodes[sources[place, 0], PLACE]
            for column in range(3):
                scores[place, column] = stayed[source, column]
        else:
            scores[place, BLANK] = NEVER
            scores[place, LAST] = scores[place, TOTAL] = found[place, ACOUSTIC]


@compiled_borrowing
def settle(
    sources: Ints,
    nodes: Ints,
    added: Floats,
    num_nodes: int,
    beam: Ints,
    lexicon: Lexicon,
    is_fused: bool,
    tables: Tables,
) -> int:
    """Makes the candidates the beam, with nodes for those that are new; counts the nodes."""
    first, ways, target = lexicon
    spelling, words, expected, hotwords, worth, settings, model = tables
    for place in range(len(sources)):
        node, token = int(sources[place, 0]), int(sources[place, 1])
        if token != NONE:
            parent, node = node, child_of(nodes, node, token)
            if node == NONE:
                node, num_nodes = num_nodes, num_nodes + 1
                add_child(nodes, parent, token, node)
                if len(first) > 1:
                    state = nodes[parent, STATE]
                    for way in range(first[state], first[state + 1]):
                        if ways[way] == token:
                            nodes[node, STATE] = target[way]
                added[node, SHOWN] = 0.0
                if is_fused:
                    stand(
                        nodes,
                        added,
                        parent,
                        token,
                        node,
                        spelling,
                        words,
                        expected,
                        hotwords,
                        worth,
                        settings,
                        model,
                    )
        beam[place] = node
        nodes[node, PLACE] = place
    return num_nodes


@compiled_borrowing
def log_add(a: float, b: float) -> float:
    """Returns log(exp(a) + exp(b)) without leaving the logarithm."""
    if a < b:
        a, b = b, a
    # Beyond 37 the smaller is less than half of the larger's last digit.
    return a if b < a - 37.0 or b == NEVER else a + np.log1p(np.exp(b - a))
