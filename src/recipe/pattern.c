/* A backtracking matcher. Positions are indexes, so that nothing can point outside; a failure is a
 * value that travels up. Each step is counted before it is taken. */
#include "recipe/pattern.h"

#include <string.h>

#define ESCAPE '%'

static bool match_here(struct pattern *pattern, size_t at, size_t item, size_t *end);

static bool give_up(struct pattern *pattern, const char *error)
{
    if (pattern->error == NULL) {
        pattern->error = error;
    }
    return false;
}

static bool step(struct pattern *pattern, uint64_t bytes)
{
    if (bytes > pattern->steps_max - pattern->steps) {
        pattern->steps = pattern->steps_max;
        pattern->exhausted = true;
        return give_up(pattern, "the pattern takes too many steps");
    }
    pattern->steps += bytes;
    return true;
}

/* ---- Classes ---- */

static bool among(uint8_t byte, const char *bytes)
{
    return byte != 0 && strchr(bytes, byte) != NULL;
}

static bool between(uint8_t byte, uint8_t low, uint8_t high)
{
    return byte >= low && byte <= high;
}

/* As in the C locale: what an operator's locale says must not change what a recipe does. */
static bool class_matches(uint8_t byte, uint8_t class)
{
    bool upper = between(byte, 'A', 'Z');
    bool lower = between(byte, 'a', 'z');
    bool digit = between(byte, '0', '9');
    bool found;
    switch (class | 0x20) {
    case 'a': found = upper || lower; break;
    case 'c': found = byte < ' ' || byte == 0x7f; break;
    case 'd': found = digit; break;
    case 'l': found = lower; break;
    case 'p': found = between(byte, '!', '~') && !upper && !lower && !digit; break;
    case 's': found = byte == ' ' || between(byte, '\t', '\r'); break;
    case 'u': found = upper; break;
    case 'w': found = upper || lower || digit; break;
    case 'x': found = digit || between(byte | 0x20, 'a', 'f'); break;
    case 'z': found = byte == 0; break;
    default: return byte == class; /* not a letter: the byte itself */
    }
    return between(class, 'A', 'Z') ? !found : found;
}

/* One past the end of the single item that begins at `item`, or 0: malformed. */
static size_t single_end(struct pattern *pattern, size_t item)
{
    struct mk_bytes text = pattern->text;
    uint8_t first = text.data[item++];
    if (first == ESCAPE) {
        if (item == text.len) {
            (void)give_up(pattern, "malformed pattern (ends with '%')");
            return 0;
        }
        return item + 1;
    }
    if (first != '[') {
        return item;
    }
    item += item < text.len && text.data[item] == '^' ? 1 : 0;
    size_t begin = item;
    while (item < text.len && (text.data[item] != ']' || item == begin)) {
        item += text.data[item] == ESCAPE ? 2 : 1;
    }
    if (item >= text.len) {
        (void)give_up(pattern, "malformed pattern (missing ']')");
        return 0;
    }
    return item + 1;
}

/* One member of a set, "%a", "a-z" or "a", at *item, which moves behind it; the set ends at `end`. */
static bool member_matches(const uint8_t *text, size_t *item, size_t end, uint8_t byte)
{
    size_t at = *item;
    if (text[at] == ESCAPE) {
        *item += 2;
        return class_matches(byte, text[at + 1]);
    }
    if (at + 2 < end && text[at + 1] == '-') {
        *item += 3;
        return between(byte, text[at], text[at + 2]);
    }
    *item += 1;
    return text[at] == byte;
}

/* `item` is behind '[', `end` is behind ']'. */
static bool set_matches(const struct pattern *pattern, uint8_t byte, size_t item, size_t end)
{
    const uint8_t *text = pattern->text.data;
    bool negated = text[item] == '^';
    bool found = false;
    item += negated ? 1 : 0;
    while (item < end - 1 && !found) {
        found = member_matches(text, &item, end - 1, byte);
    }
    return found != negated;
}

/* Does the item [item, end) match the byte at `at`? */
static bool single_matches(struct pattern *pattern, size_t at, size_t item, size_t end)
{
    if (!step(pattern, end - item) || at >= pattern->subject.len) {
        return false;
    }
    uint8_t byte = pattern->subject.data[at];
    uint8_t first = pattern->text.data[item];
    switch (first) {
    case '.': return true;
    case ESCAPE: return class_matches(byte, pattern->text.data[item + 1]);
    case '[': return set_matches(pattern, byte, item + 1, end);
    default: return byte == first;
    }
}

/* ---- Repetition ---- */

static bool match_longest(struct pattern *pattern, size_t at, size_t item, size_t item_end,
                          size_t *end)
{
    size_t count = 0;
    while (single_matches(pattern, at + count, item, item_end)) {
        count++;
    }
    for (;;) {
        if (pattern->error != NULL) {
            return false;
        }
        if (match_here(pattern, at + count, item_end + 1, end)) {
            return true;
        }
        if (count == 0) {
            return false;
        }
        count--;
    }
}

static bool match_shortest(struct pattern *pattern, size_t at, size_t item, size_t item_end,
                           size_t *end)
{
    for (;;) {
        if (match_here(pattern, at, item_end + 1, end)) {
            return true;
        }
        if (pattern->error != NULL || !single_matches(pattern, at, item, item_end)) {
            return false;
        }
        at++;
    }
}

/* ---- Captures, balance, frontier, back reference ---- */

static bool capture_begin(struct pattern *pattern, size_t at, size_t item, bool position,
                          size_t *end)
{
    if (pattern->captures_count == PATTERN_CAPTURES_MAX) {
        return give_up(pattern, "too many captures");
    }
    pattern->captures[pattern->captures_count++] =
        (struct pattern_capture){.at = at, .position = position, .open = !position};
    if (match_here(pattern, at, item, end)) {
        return true;
    }
    pattern->captures_count--;
    return false;
}

static bool capture_end(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    uint32_t index = pattern->captures_count;
    while (index > 0 && !pattern->captures[index - 1].open) {
        index--;
    }
    if (index == 0) {
        return give_up(pattern, "invalid pattern capture");
    }
    struct pattern_capture *capture = &pattern->captures[index - 1];
    capture->open = false;
    capture->len = at - capture->at;
    if (match_here(pattern, at, item, end)) {
        return true;
    }
    capture->open = true;
    return false;
}

/* "%bxy": from an x to the y that balances it. */
static bool match_balance(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    struct mk_bytes subject = pattern->subject;
    if (item + 4 > pattern->text.len) {
        return give_up(pattern, "unbalanced pattern");
    }
    uint8_t open = pattern->text.data[item + 2];
    uint8_t close = pattern->text.data[item + 3];
    if (at >= subject.len || subject.data[at] != open) {
        return false;
    }
    size_t level = 1;
    size_t next = at + 1;
    while (next < subject.len && level > 0) {
        uint8_t byte = subject.data[next++];
        level += byte == close ? (size_t)-1 : byte == open ? 1 : 0;
    }
    return step(pattern, next - at) && level == 0 && match_here(pattern, next, item + 4, end);
}

/* "%f[set]": between a byte outside the set and one within; both ends count as a zero byte. */
static bool match_frontier(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    item += 2;
    if (item >= pattern->text.len || pattern->text.data[item] != '[') {
        return give_up(pattern, "missing '[' after '%f' in pattern");
    }
    size_t set_end = single_end(pattern, item);
    if (set_end == 0 || !step(pattern, set_end - item)) {
        return false;
    }
    uint8_t before = at == 0 ? 0 : pattern->subject.data[at - 1];
    uint8_t after = at < pattern->subject.len ? pattern->subject.data[at] : 0;
    return !set_matches(pattern, before, item + 1, set_end) &&
           set_matches(pattern, after, item + 1, set_end) && match_here(pattern, at, set_end, end);
}

/* "%1": what that capture holds, once more. */
static bool match_reference(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    size_t index = (size_t)(pattern->text.data[item + 1] - '1');
    if (index >= pattern->captures_count || pattern->captures[index].open) {
        return give_up(pattern, "invalid capture index");
    }
    struct pattern_capture capture = pattern->captures[index];
    size_t len = capture.position ? 0 : capture.len;
    return step(pattern, len + 1) && len <= pattern->subject.len - at &&
           memcmp(pattern->subject.data + capture.at, pattern->subject.data + at, len) == 0 &&
           match_here(pattern, at + len, item + 2, end);
}

/* ---- Dispatch ---- */

/* A single item with what may follow it: nothing, '?', '*', '+' or '-'. */
static bool match_single(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    size_t item_end = single_end(pattern, item);
    if (item_end == 0) {
        return false;
    }
    uint8_t suffix = item_end < pattern->text.len ? pattern->text.data[item_end] : 0;
    switch (suffix) {
    case '*': return match_longest(pattern, at, item, item_end, end);
    case '-': return match_shortest(pattern, at, item, item_end, end);
    case '+':
        return single_matches(pattern, at, item, item_end) &&
               match_longest(pattern, at + 1, item, item_end, end);
    case '?':
        if (single_matches(pattern, at, item, item_end) &&
            match_here(pattern, at + 1, item_end + 1, end)) {
            return true;
        }
        return pattern->error == NULL && match_here(pattern, at, item_end + 1, end);
    default:
        return single_matches(pattern, at, item, item_end) &&
               match_here(pattern, at + 1, item_end, end);
    }
}

static bool match_escape(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    uint8_t letter = item + 1 < pattern->text.len ? pattern->text.data[item + 1] : 0;
    switch (letter) {
    case 'b': return match_balance(pattern, at, item, end);
    case 'f': return match_frontier(pattern, at, item, end);
    default:
        if (between(letter, '0', '9')) {
            return match_reference(pattern, at, item, end);
        }
        return match_single(pattern, at, item, end);
    }
}

static bool match_item(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    struct mk_bytes text = pattern->text;
    switch (text.data[item]) {
    case '(':
        if (item + 1 < text.len && text.data[item + 1] == ')') {
            return capture_begin(pattern, at, item + 2, true, end);
        }
        return capture_begin(pattern, at, item + 1, false, end);
    case ')': return capture_end(pattern, at, item + 1, end);
    case '$':
        if (item + 1 == text.len) {
            *end = at;
            return at == pattern->subject.len;
        }
        return match_single(pattern, at, item, end);
    case ESCAPE: return match_escape(pattern, at, item, end);
    default: return match_single(pattern, at, item, end);
    }
}

/* A run of items without a suffix and without meaning is compared in a loop: depth is for what can
 * backtrack, so that long literal patterns are no bomb. */
static size_t literal_skip(struct pattern *pattern, size_t *at, size_t item)
{
    struct mk_bytes text = pattern->text;
    while (item < text.len && !among(text.data[item], "()$%[.") &&
           (item + 1 == text.len || !among(text.data[item + 1], "*+-?")) &&
           *at < pattern->subject.len && pattern->subject.data[*at] == text.data[item]) {
        item++;
        (*at)++;
    }
    return item;
}

static bool match_here(struct pattern *pattern, size_t at, size_t item, size_t *end)
{
    MK_ASSERT(at <= pattern->subject.len);
    size_t item_begin = item;
    item = literal_skip(pattern, &at, item);
    if (!step(pattern, item - item_begin + 1)) {
        return false;
    }
    if (item == pattern->text.len) {
        *end = at;
        return true;
    }
    if (pattern->depth == PATTERN_DEPTH_MAX) {
        return give_up(pattern, "pattern too complex");
    }
    pattern->depth++;
    bool matched = match_item(pattern, at, item, end);
    pattern->depth--;
    return matched;
}

bool pattern_match_at(struct pattern *pattern, size_t at, size_t *end)
{
    MK_ASSERT(at <= pattern->subject.len);
    pattern->depth = 0;
    pattern->captures_count = 0;
    if (!match_here(pattern, at, 0, end) || pattern->error != NULL) {
        return false;
    }
    for (uint32_t i = 0; i < pattern->captures_count; i++) {
        if (pattern->captures[i].open) {
            return give_up(pattern, "unfinished capture");
        }
    }
    return true;
}

bool pattern_plain(struct mk_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (among(text.data[i], "^$*+?.([%-")) {
            return false;
        }
    }
    return true;
}
