#include "wire/sctp_packet.h"

#include <assert.h>
#include <string.h>

#include "wire/crc32c.h"
#include "wire/octets.h"

enum {
    CHECKSUM_AT = 8,
    CHECKSUM_SIZE = 4,
};

/* Over the packet as if its checksum were 0. */
static uint32_t checksum(const uint8_t *packet, size_t len)
{
    static const uint8_t zeros[CHECKSUM_SIZE];
    uint32_t crc = crc32c(0, packet, CHECKSUM_AT);
    crc = crc32c(crc, zeros, sizeof zeros);
    return crc32c(crc, packet + SCTP_HEAD_SIZE, len - SCTP_HEAD_SIZE);
}

/* The reflected checksum goes out with its lowest byte first. */
static void checksum_put(uint8_t *at, uint32_t crc)
{
    for (unsigned i = 0; i < CHECKSUM_SIZE; i++)
        at[i] = (uint8_t)(crc >> 8 * i);
}

int sctp_packet_read(struct sctp_head *ret, struct sctp_reader *chunks, const uint8_t *packet,
                     size_t len)
{
    uint8_t expected[CHECKSUM_SIZE];
    if (len < SCTP_HEAD_SIZE + SCTP_CHUNK_HEAD || len % 4 != 0)
        return SCTP_LENGTH;
    checksum_put(expected, checksum(packet, len));
    if (memcmp(expected, packet + CHECKSUM_AT, sizeof expected) != 0)
        return SCTP_CHECKSUM;
    *ret = (struct sctp_head){
        .source = octets_get16(packet),
        .destination = octets_get16(packet + 2),
        .tag = octets_get32(packet + 4),
    };
    *chunks = (struct sctp_reader){packet + SCTP_HEAD_SIZE, len - SCTP_HEAD_SIZE};
    return 0;
}

/* Both have their length, head included, in bytes 2 and 3. */
static int next(struct sctp_reader *reader, const uint8_t **ret_value, size_t *ret_len)
{
    if (reader->left == 0)
        return 0;
    size_t len = reader->left < SCTP_CHUNK_HEAD ? 0 : octets_get16(reader->at + 2);
    if (len < SCTP_CHUNK_HEAD || len > reader->left)
        return SCTP_LENGTH;
    size_t whole = sctp_padded(len) < reader->left ? sctp_padded(len) : reader->left;
    *ret_value = reader->at + SCTP_CHUNK_HEAD;
    *ret_len = len - SCTP_CHUNK_HEAD;
    reader->at += whole;
    reader->left -= whole;
    return 1;
}

int sctp_chunk_next(struct sctp_chunk *ret, struct sctp_reader *chunks)
{
    const uint8_t *at = chunks->at;
    int found = next(chunks, &ret->value, &ret->len);
    if (found == 1) {
        ret->type = at[0];
        ret->flags = at[1];
    }
    return found;
}

int sctp_parameter_next(struct sctp_chunk *ret, struct sctp_reader *parameters)
{
    const uint8_t *at = parameters->at;
    int found = next(parameters, &ret->value, &ret->len);
    if (found == 1) {
        ret->type = octets_get16(at);
        ret->flags = 0;
    }
    return found;
}

void sctp_packet_begin(struct sctp_writer *ret, uint8_t *packet, size_t size,
                       const struct sctp_head *head)
{
    assert(size >= SCTP_HEAD_SIZE);
    octets_put16(packet, head->source);
    octets_put16(packet + 2, head->destination);
    octets_put32(packet + 4, head->tag);
    *ret = (struct sctp_writer){packet, SCTP_HEAD_SIZE, size & ~(size_t)3};
}

size_t sctp_packet_room(const struct sctp_writer *writer)
{
    size_t left = writer->size - writer->at;
    return left < SCTP_CHUNK_HEAD ? 0 : left - SCTP_CHUNK_HEAD;
}

uint8_t *sctp_chunk_write(struct sctp_writer *writer, uint8_t type, uint8_t flags, size_t len)
{
    uint8_t *at = writer->packet + writer->at;
    assert(writer->at + SCTP_CHUNK_HEAD + sctp_padded(len) <= writer->size);
    at[0] = type;
    at[1] = flags;
    octets_put16(at + 2, (uint16_t)(SCTP_CHUNK_HEAD + len));
    memset(at + SCTP_CHUNK_HEAD, 0, sctp_padded(len));
    writer->at += SCTP_CHUNK_HEAD + sctp_padded(len);
    return at + SCTP_CHUNK_HEAD;
}

uint8_t *sctp_parameter_write(uint8_t *at, uint16_t type, size_t len)
{
    octets_put16(at, type);
    octets_put16(at + 2, (uint16_t)(SCTP_CHUNK_HEAD + len));
    return at + SCTP_CHUNK_HEAD;
}

size_t sctp_packet_end(struct sctp_writer *writer)
{
    if (writer->at == SCTP_HEAD_SIZE)
        return 0;
    checksum_put(writer->packet + CHECKSUM_AT, checksum(writer->packet, writer->at));
    return writer->at;
}
