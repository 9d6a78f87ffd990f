#include "wire/sdp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>

#include "wire/address.h"
#include "wire/chars.h"
#include "wire/out.h"

enum {
    UFRAG_MIN = 4, /* RFC 8839 section 5.4 */
    PASSWORD_MIN = 22,
    CREDENTIAL_MAX = 256,
    MESSAGE_BYTES_DEFAULT = 65536, /* RFC 8841 section 6.1 */
    HOST_PREFERENCE = 126,         /* RFC 8445 section 5.1.2.2 */
    CANDIDATE_ADDRESS_AT = 4,      /* words before it */
};

/* What the lines have said. What the session says counts for its media, too. */
struct reading {
    struct sdp_offer offer;
    struct span ufrag, password; /* empty: none, or not as they must be */
    struct span candidate;       /* the first */
    unsigned media;
    bool fingerprint, sctp_port, lite, setup;
    bool is_answer; /* its peer is passive */
};

/* Takes one line off; its end may lack the CR. */
static bool line_take(struct span *ret, struct span *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    if (!end)
        return false;
    *ret = span_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = span_skip(*rest, ret->len + 1);
    if (ret->len > 0 && ret->ptr[ret->len - 1] == '\r')
        ret->len--;
    return ret->len >= 2 && ret->len <= SDP_LINE_MAX && ret->ptr[1] == '=' &&
           memchr(ret->ptr, '\0', ret->len) == NULL && memchr(ret->ptr, '\r', ret->len) == NULL;
}

static bool prefix_take(struct span *value, struct span prefix)
{
    if (value->len < prefix.len || memcmp(value->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    *value = span_skip(*value, prefix.len);
    return true;
}

static struct span word_take(struct span *rest)
{
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct span word = {rest->ptr, space ? (size_t)(space - rest->ptr) : rest->len};
    *rest = span_skip(*rest, space ? word.len + 1 : word.len);
    return word;
}

/* A decimal of at most `max`; -1 when it is none. */
static int64_t number_read(struct span text, int64_t max)
{
    int64_t value = 0;
    if (text.len == 0 || text.len > 10 || (text.len > 1 && text.ptr[0] == '0'))
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (!chars_is(text.ptr[i], CHAR_DIGIT))
            return -1;
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value <= max ? value : -1;
}

/* ice-char of RFC 8839 section 5.4: letters, digits, + and /. */
static struct span credential_take(struct span text, size_t min)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = span_lower(text.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !chars_is(c, CHAR_DIGIT) && c != '+' && c != '/')
            return (struct span){0};
    }
    return text.len >= min && text.len <= CREDENTIAL_MAX ? text : (struct span){0};
}

/* `sha-256 AB:CD:…`. Those of other functions are passed over: there may be several. */
static int fingerprint_take(struct reading *reading, struct span value)
{
    struct span function = word_take(&value);
    if (!span_equal_nocase(function, SPAN("sha-256")))
        return 0;
    if (value.len != SDP_FINGERPRINT_SIZE * 3 - 1)
        return SDP_FINGERPRINT;
    for (size_t i = 0; i < SDP_FINGERPRINT_SIZE; i++) {
        int high = chars_hex(value.ptr[3 * i]), low = chars_hex(value.ptr[3 * i + 1]);
        bool parted = i == SDP_FINGERPRINT_SIZE - 1 || value.ptr[3 * i + 2] == ':';
        if (high < 0 || low < 0 || !parted)
            return SDP_FINGERPRINT;
        reading->offer.fingerprint[i] = (uint8_t)(high << 4 | low);
    }
    reading->fingerprint = true;
    return 0;
}

/* `application 9 UDP/DTLS/SCTP webrtc-datachannel`. */
static int media_take(struct reading *reading, struct span value)
{
    struct span media = word_take(&value), port = word_take(&value), proto = word_take(&value);
    if (reading->media++ > 0 || !span_equal(media, SPAN("application")) ||
        number_read(port, UINT16_MAX) < 1 || !span_equal(proto, SPAN("UDP/DTLS/SCTP")) ||
        !span_equal(value, SPAN("webrtc-datachannel")))
        return SDP_MEDIA;
    return 0;
}

static int setup_take(struct reading *reading, struct span value)
{
    bool active = span_equal(value, SPAN("active"));
    reading->setup = true;
    if (reading->is_answer)
        return span_equal(value, SPAN("passive")) ? 0 : SDP_SETUP;
    return active || span_equal(value, SPAN("actpass")) ? 0 : SDP_SETUP;
}

static int mid_take(struct reading *reading, struct span value)
{
    reading->offer.mid = value;
    return value.len <= SDP_MID_MAX && chars_all(value, CHAR_TOKEN) ? 0 : SDP_SYNTAX;
}

static int sctp_port_take(struct reading *reading, struct span value)
{
    int64_t port = number_read(value, UINT16_MAX);
    if (port < 1)
        return SDP_SCTP;
    reading->sctp_port = true;
    reading->offer.sctp_port = (uint16_t)port;
    return 0;
}

static int message_bytes_take(struct reading *reading, struct span value)
{
    int64_t bytes = number_read(value, INT64_C(9999999999));
    if (bytes < 0)
        return SDP_SCTP;
    reading->offer.message_bytes_max = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    return 0;
}

static int attribute_take(struct reading *reading, struct span value)
{
    if (span_equal(value, SPAN("ice-lite")))
        reading->lite = true;
    else if (prefix_take(&value, SPAN("ice-ufrag:")))
        reading->ufrag = credential_take(value, UFRAG_MIN);
    else if (prefix_take(&value, SPAN("ice-pwd:")))
        reading->password = credential_take(value, PASSWORD_MIN);
    else if (prefix_take(&value, SPAN("fingerprint:")))
        return fingerprint_take(reading, value);
    else if (prefix_take(&value, SPAN("setup:")))
        return setup_take(reading, value);
    else if (prefix_take(&value, SPAN("mid:")))
        return mid_take(reading, value);
    else if (prefix_take(&value, SPAN("sctp-port:")))
        return sctp_port_take(reading, value);
    else if (prefix_take(&value, SPAN("max-message-size:")))
        return message_bytes_take(reading, value);
    else if (prefix_take(&value, SPAN("candidate:")) && reading->candidate.len == 0)
        reading->candidate = value;
    return 0;
}

static int line_understand(struct reading *reading, struct span line)
{
    struct span value = span_skip(line, 2);
    if (line.ptr[0] == 'm')
        return media_take(reading, value);
    return line.ptr[0] == 'a' ? attribute_take(reading, value) : 0;
}

/* Whether all is there. */
static int reading_end(const struct reading *reading)
{
    if (reading->media != 1)
        return SDP_MEDIA;
    if (reading->ufrag.len == 0 || reading->password.len == 0 ||
        reading->lite != reading->is_answer)
        return SDP_ICE;
    if (!reading->fingerprint)
        return SDP_FINGERPRINT;
    if (!reading->setup)
        return SDP_SETUP;
    return reading->sctp_port ? 0 : SDP_SCTP;
}

/* Reads all lines. Returns 0, or an enum sdp_error. */
static int reading_run(struct reading *reading, struct span text)
{
    struct span line;
    if (text.len == 0 || text.len > SDP_OFFER_MAX)
        return SDP_SYNTAX;
    if (!line_take(&line, &text) || !span_equal(line, SPAN("v=0")))
        return SDP_VERSION;
    while (text.len > 0) {
        if (!line_take(&line, &text))
            return SDP_SYNTAX;
        int err = line_understand(reading, line);
        if (err < 0)
            return err;
    }
    return reading_end(reading);
}

int sdp_offer_read(struct sdp_offer *ret, struct span text)
{
    struct reading reading = {.offer.message_bytes_max = MESSAGE_BYTES_DEFAULT};
    int err = reading_run(&reading, text);
    if (err == 0)
        *ret = reading.offer;
    return err;
}

/* ---- the answer ---- */

static void out_fingerprint(struct out *out, const uint8_t *fingerprint)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < SDP_FINGERPRINT_SIZE; i++) {
        char pair[3] = {hex[fingerprint[i] >> 4], hex[fingerprint[i] & 15], ':'};
        out_span(out, span_of(pair, i == SDP_FINGERPRINT_SIZE - 1 ? 2 : 3));
    }
}

static void out_address(struct out *out, const struct in6_addr *address)
{
    char text[INET6_ADDRSTRLEN];
    bool ipv4 = IN6_IS_ADDR_V4MAPPED(address);
    const void *from = ipv4 ? (const void *)(address->s6_addr + 12) : address;
    const char *said = inet_ntop(ipv4 ? AF_INET : AF_INET6, from, text, sizeof text);
    assert(said);
    out_span(out, span_from(said));
}

/* `a=candidate` of a host address; the first has the highest priority (RFC 8445 section 5.1.2). */
static void out_candidate(struct out *out, const struct sdp_answer *answer, unsigned number)
{
    uint32_t local = 65535 - number;
    out_text(out, "a=candidate:");
    out_decimal(out, number + 1);
    out_text(out, " 1 udp ");
    out_decimal(out, (uint32_t)HOST_PREFERENCE << 24 | local << 8 | 255);
    out_text(out, " ");
    out_address(out, &answer->addresses[number]);
    out_text(out, " ");
    out_decimal(out, answer->port);
    out_text(out, " typ host\r\n");
}

static void out_session(struct out *out, const struct sdp_answer *answer)
{
    out_text(out, "v=0\r\no=- ");
    out_decimal(out, answer->session & INT64_MAX);
    out_text(out, " 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n");
    if (answer->mid.len > 0) {
        out_text(out, "a=group:BUNDLE ");
        out_span(out, answer->mid);
        out_text(out, "\r\n");
    }
}

static void out_media(struct out *out, const struct sdp_answer *answer)
{
    bool ipv4 = IN6_IS_ADDR_V4MAPPED(&answer->addresses[0]);
    out_text(out, "m=application ");
    out_decimal(out, answer->port);
    out_span(out, ipv4 ? SPAN(" UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 ")
                       : SPAN(" UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP6 "));
    out_address(out, &answer->addresses[0]);
    if (answer->mid.len > 0) {
        out_text(out, "\r\na=mid:");
        out_span(out, answer->mid);
    }
    out_text(out, "\r\na=ice-ufrag:");
    out_span(out, answer->ufrag);
    out_text(out, "\r\na=ice-pwd:");
    out_span(out, answer->password);
    out_text(out, "\r\na=fingerprint:sha-256 ");
    out_fingerprint(out, answer->fingerprint);
    out_text(out, "\r\na=setup:passive\r\na=sctp-port:");
    out_decimal(out, answer->sctp_port);
    out_text(out, "\r\na=max-message-size:");
    out_decimal(out, answer->message_bytes_max);
    out_text(out, "\r\n");
}

int sdp_answer_write(char *buf, size_t size, const struct sdp_answer *answer)
{
    struct out out = out_begin(buf, size);
    assert(answer->address_count >= 1 && answer->address_count <= SDP_ADDRESSES_MAX);
    out_session(&out, answer);
    out_media(&out, answer);
    for (unsigned i = 0; i < answer->address_count; i++)
        out_candidate(&out, answer, i);
    out_text(&out, "a=end-of-candidates\r\n");
    return out_end(&out);
}

/* ---- the other side ---- */

int sdp_offer_write(char *buf, size_t size, struct span ufrag, struct span password,
                    const uint8_t fingerprint[SDP_FINGERPRINT_SIZE], uint16_t sctp_port)
{
    struct out out = out_begin(buf, size);
    out_text(&out, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
                   "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
                   "a=mid:0\r\na=ice-ufrag:");
    out_span(&out, ufrag);
    out_text(&out, "\r\na=ice-pwd:");
    out_span(&out, password);
    out_text(&out, "\r\na=fingerprint:sha-256 ");
    out_fingerprint(&out, fingerprint);
    out_text(&out, "\r\na=setup:active\r\na=sctp-port:");
    out_decimal(&out, sctp_port);
    out_text(&out, "\r\n");
    return out_end(&out);
}

/* `1 1 udp 2113937151 192.0.2.1 3478 typ host`. */
static bool candidate_read(struct sdp_answer *ret, struct span text)
{
    for (unsigned i = 0; i < CANDIDATE_ADDRESS_AT; i++)
        (void)word_take(&text);
    struct span address = word_take(&text), port = word_take(&text);
    int64_t number = number_read(port, UINT16_MAX);
    ret->port = (uint16_t)number;
    ret->address_count = 1;
    return address_read(&ret->addresses[0], address) && IN6_IS_ADDR_V4MAPPED(&ret->addresses[0]) &&
           number > 0;
}

int sdp_answer_read(struct sdp_answer *ret, struct span text)
{
    struct reading reading = {
        .offer.message_bytes_max = MESSAGE_BYTES_DEFAULT,
        .is_answer = true,
    };
    struct sdp_answer answer = {0};
    int err = reading_run(&reading, text);
    if (err < 0)
        return err;
    if (!candidate_read(&answer, reading.candidate))
        return SDP_ICE;
    answer.ufrag = reading.ufrag;
    answer.password = reading.password;
    answer.sctp_port = reading.offer.sctp_port;
    answer.message_bytes_max = reading.offer.message_bytes_max;
    memcpy(answer.fingerprint, reading.offer.fingerprint, sizeof answer.fingerprint);
    *ret = answer;
    return 0;
}
