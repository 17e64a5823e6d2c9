"""The inner loop of prefix beam search, compiled; `asr.decoding.prefix_beam` says what it does.

Prefixes are nodes of a trie, rows of one table. A prefix that leaves the beam keeps its node, so
that its children find it again when it comes back. Of the many prefixes that a step could grow,
only those that enter the beam become nodes: a heap of the best so far turns the others away, most
of them unseen, since the tokens are tried from the most probable on.
"""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

# The columns of a node. PLACE is its row in the beam (-1: not in it), STATE where it stands in the
# lexicon. A node's children are a list: CHILD is the last one made, SIBLING the one made before.
PARENT, TOKEN, DEPTH, CHILD, SIBLING, PLACE, STATE = range(7)
NUM_COLUMNS = 7
NONE = -1
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
    lexicon: tuple[Ints, Ints, Ints],
) -> tuple[Ints, Ints, Floats]:
    """Searches one utterance.

    Args:
        log_probs: float64 [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.
        beam_width: Prefixes kept from one step to the next.
        floor: A token less probable than this begins nothing new, unless it is the best there is.
        lexicon: The ways on from each state, as `Lexicon.ways` gives them; of no state, if any
            text is allowed.

    Returns:
        The nodes [num_nodes, 7]; the beam's nodes [size], best first; and its log-probabilities
        [size, 3].
    """
    nodes = np.empty((64 + 2 * beam_width, NUM_COLUMNS), np.int32)
    for column in range(NUM_COLUMNS):
        nodes[0, column] = 0 if column in (DEPTH, PLACE, STATE) else NONE
    num_nodes = 1
    beam = np.zeros(beam_width, np.int32)
    scores = np.empty((beam_width, 3))
    stayed = np.empty((beam_width, 3))
    scores[0, BLANK] = scores[0, TOTAL] = 0.0
    scores[0, LAST] = NEVER
    size = 1
    floors = np.empty(beam_width)
    # Candidates of the next beam, a heap with the worst on top.
    heap_score = np.empty(beam_width)
    heap_from = np.empty((beam_width, 2), np.int32)
    for step in range(len(log_probs)):
        row = log_probs[step]
        tokens = probable_tokens(row, blank_id, floor)
        set_floors(floors, nodes, beam[:size], row, floor, lexicon)
        stay(nodes, beam[:size], scores, stayed, row, blank_id, floors)
        kept = 0
        for place in range(size - 1, -1, -1):  # the worst first: a heap is built from them faster
            total = stayed[place, TOTAL]
            if total > NEVER:
                kept = offer(heap_score, heap_from, kept, nodes, total, int(beam[place]), NONE)
        for place in range(size):
            kept = grow(
                heap_score,
                heap_from,
                kept,
                nodes,
                int(beam[place]),
                scores[place],
                row,
                tokens,
                floors[place],
                lexicon,
            )
        if num_nodes + kept > len(nodes):
            nodes = doubled(nodes)
        size, num_nodes = settle(
            heap_score, heap_from, kept, nodes, num_nodes, beam, size, scores, stayed, lexicon
        )
    return nodes[:num_nodes], beam[:size], scores[:size]


@compiled
def probable_tokens(row: Floats, blank_id: int, floor: float) -> Ints:
    """Returns the tokens that may begin at a step, the most probable first."""
    floor = min(floor, largest(row))
    tokens = np.empty(len(row), np.int32)
    count = 0
    for token in range(len(row)):
        if row[token] >= floor and token != blank_id:
            place = count
            while place > 0 and row[tokens[place - 1]] < row[token]:
                tokens[place] = tokens[place - 1]
                place -= 1
            tokens[place] = token
            count += 1
    return tokens[:count]


@compiled
def largest(row: Floats) -> float:
    """Returns the largest of some numbers; numba takes a second to compile NumPy's."""
    best = NEVER
    for value in row:
        best = max(best, value)
    return best


@compiled
def set_floors(
    floors: Floats,
    nodes: Ints,
    beam: Ints,
    row: Floats,
    floor: float,
    lexicon: tuple[Ints, Ints, Ints],
) -> None:
    """Finds the least log-probability with which a token may begin behind each prefix."""
    first, token, _ = lexicon
    lowest = min(floor, largest(row))
    for place in range(len(beam)):
        floors[place] = lowest
        if len(first) > 1:
            state = nodes[beam[place], STATE]
            best = NEVER
            for way in range(first[state], first[state + 1]):
                best = max(best, row[token[way]])
            floors[place] = min(floor, best)


@compiled
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


@compiled
def grow(
    heap_score: Floats,
    heap_from: Ints,
    kept: int,
    nodes: Ints,
    node: int,
    score: Floats,
    row: Floats,
    tokens: Ints,
    floor: float,
    lexicon: tuple[Ints, Ints, Ints],
) -> int:
    """Offers the prefixes that a prefix may become by one token more and that are not yet kept."""
    first, ways, _ = lexicon
    last = int(nodes[node, TOKEN])
    closed = len(first) > 1
    if closed:
        state = nodes[node, STATE]
        tokens = ways[first[state] : first[state + 1]]
    for number in range(len(tokens)):
        token = int(tokens[number])
        p = row[token]
        if kept == len(heap_score) and score[TOTAL] + p < heap_score[0] and not closed:
            break  # the tokens that follow are less probable still
        # The same letter twice needs a blank between; without one it is the letter held.
        total = (score[BLANK] if token == last else score[TOTAL]) + p
        if p < floor or total == NEVER or (kept == len(heap_score) and total < heap_score[0]):
            continue
        child = child_of(nodes, node, token)
        if child == NONE or nodes[child, PLACE] == NONE:
            kept = offer(heap_score, heap_from, kept, nodes, total, node, token)
    return kept


@compiled
def settle(
    heap_score: Floats,
    heap_from: Ints,
    kept: int,
    nodes: Ints,
    num_nodes: int,
    beam: Ints,
    size: int,
    scores: Floats,
    stayed: Floats,
    lexicon: tuple[Ints, Ints, Ints],
) -> tuple[int, int]:
    """Makes the heap the new beam, best first; returns its size and the number of nodes."""
    for place in range(kept - 1, -1, -1):
        swap(heap_score, heap_from, 0, place)
        sink(heap_score[:place], heap_from, nodes)
    for place in range(kept):
        node, token = int(heap_from[place, 0]), int(heap_from[place, 1])
        if token == NONE:
            source = nodes[node, PLACE]
            for column in range(3):
                scores[place, column] = stayed[source, column]
        else:
            scores[place, BLANK] = NEVER
            scores[place, LAST] = scores[place, TOTAL] = heap_score[place]
    for place in range(size):
        nodes[beam[place], PLACE] = NONE
    for place in range(kept):
        node, token = int(heap_from[place, 0]), int(heap_from[place, 1])
        if token != NONE:
            child = child_of(nodes, node, token)
            if child == NONE:
                child, num_nodes = num_nodes, num_nodes + 1
                add_child(nodes, node, token, child, lexicon)
            node = child
        beam[place] = node
        nodes[node, PLACE] = place
    return kept, num_nodes


@compiled
def child_of(nodes: Ints, node: int, token: int) -> int:
    """Returns the child of a node by a token, NONE if there is none yet."""
    child = int(nodes[node, CHILD])
    while child != NONE and nodes[child, TOKEN] != token:
        child = int(nodes[child, SIBLING])
    return child


@compiled
def add_child(
    nodes: Ints, node: int, token: int, child: int, lexicon: tuple[Ints, Ints, Ints]
) -> None:
    """Fills in the row of a new node."""
    nodes[child, PARENT] = node
    nodes[child, TOKEN] = token
    nodes[child, DEPTH] = nodes[node, DEPTH] + 1
    nodes[child, CHILD] = NONE
    nodes[child, SIBLING] = nodes[node, CHILD]
    nodes[child, PLACE] = NONE
    nodes[node, CHILD] = child
    first, ways, target = lexicon
    if len(first) > 1:
        state = nodes[node, STATE]
        for way in range(first[state], first[state + 1]):
            if ways[way] == token:
                nodes[child, STATE] = target[way]


@compiled
def doubled(nodes: Ints) -> Ints:
    """Returns the same nodes with room for as many more."""
    roomier = np.empty((2 * len(nodes), NUM_COLUMNS), np.int32)
    for node in range(len(nodes)):
        for column in range(NUM_COLUMNS):
            roomier[node, column] = nodes[node, column]
    return roomier


@compiled
def offer(
    heap_score: Floats,
    heap_from: Ints,
    kept: int,
    nodes: Ints,
    score: float,
    node: int,
    token: int,
) -> int:
    """Keeps a candidate if there is room or it beats the worst; returns how many are kept."""
    if kept < len(heap_score):
        place = kept
        heap_score[place] = score
        heap_from[place, 0] = node
        heap_from[place, 1] = token
        while place > 0:
            above = (place - 1) // 2
            if not worse(heap_score, heap_from, nodes, place, above):
                break
            swap(heap_score, heap_from, place, above)
            place = above
        return kept + 1
    if score > heap_score[0] or (
        score == heap_score[0]
        and precedes(nodes, node, token, int(heap_from[0, 0]), int(heap_from[0, 1]))
    ):
        heap_score[0] = score
        heap_from[0, 0] = node
        heap_from[0, 1] = token
        sink(heap_score, heap_from, nodes)
    return kept


@compiled
def sink(heap_score: Floats, heap_from: Ints, nodes: Ints) -> None:
    """Restores a heap whose top alone may be out of order."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= len(heap_score):
            return
        if child + 1 < len(heap_score) and worse(heap_score, heap_from, nodes, child + 1, child):
            child += 1
        if not worse(heap_score, heap_from, nodes, child, place):
            return
        swap(heap_score, heap_from, place, child)
        place = child


@compiled
def swap(heap_score: Floats, heap_from: Ints, a: int, b: int) -> None:
    """Exchanges two candidates."""
    heap_score[a], heap_score[b] = heap_score[b], heap_score[a]
    for column in range(2):
        heap_from[a, column], heap_from[b, column] = heap_from[b, column], heap_from[a, column]


@compiled
def worse(heap_score: Floats, heap_from: Ints, nodes: Ints, a: int, b: int) -> bool:
    """Whether candidate a is to go before candidate b."""
    if heap_score[a] != heap_score[b]:
        return bool(heap_score[a] < heap_score[b])
    node, token = int(heap_from[a, 0]), int(heap_from[a, 1])
    return bool(precedes(nodes, int(heap_from[b, 0]), int(heap_from[b, 1]), node, token))


@compiled
def precedes(nodes: Ints, a: int, token_a: int, b: int, token_b: int) -> bool:
    """Whether prefix a, with one token more if that is not NONE, comes before b in the dictionary.

    The two are walked up to where they part; what they differ in first is the last to be met.
    """
    depth_a = nodes[a, DEPTH] + (token_a != NONE)
    depth_b = nodes[b, DEPTH] + (token_b != NONE)
    before = depth_a < depth_b
    while a != b or token_a != token_b:
        last_a = int(nodes[a, TOKEN]) if token_a == NONE else token_a
        last_b = int(nodes[b, TOKEN]) if token_b == NONE else token_b
        if depth_a == depth_b and last_a != last_b:
            before = last_a < last_b
        climbs_a, climbs_b = depth_a >= depth_b, depth_b >= depth_a
        if climbs_a:
            a = a if token_a != NONE else int(nodes[a, PARENT])
            token_a, depth_a = NONE, depth_a - 1
        if climbs_b:
            b = b if token_b != NONE else int(nodes[b, PARENT])
            token_b, depth_b = NONE, depth_b - 1
    return bool(before)


@compiled
def log_add(a: float, b: float) -> float:
    """Returns log(exp(a) + exp(b)) without leaving the logarithm."""
    if a < b:
        a, b = b, a
    # Beyond 37 the smaller is less than half of the larger's last digit.
    return a if b < a - 37.0 or b == NEVER else a + np.log1p(np.exp(b - a))


@compiled
def texts(nodes: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Spells the prefixes that end at the nodes `ends`.

    Returns:
        All their tokens in one row, and where each one's begin [len(ends) + 1].
    """
    starts = np.zeros(len(ends) + 1, np.int32)
    for number in range(len(ends)):
        starts[number + 1] = starts[number] + nodes[ends[number], DEPTH]
    tokens = np.empty(starts[-1], np.int32)
    for number in range(len(ends)):
        node = ends[number]
        for place in range(starts[number + 1] - 1, starts[number] - 1, -1):
            tokens[place] = nodes[node, TOKEN]
            node = nodes[node, PARENT]
    return tokens, starts
