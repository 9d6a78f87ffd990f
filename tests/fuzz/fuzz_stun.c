#include "fuzz.h"
#include "wire/stun.h"

/* Until the next call. */
static struct stun_key *key_of(struct span password)
{
    static struct stun_key key;
    stun_key_init(&key, password);
    return &key;
}

/* What is read lies within the datagram; a request that is made of it is read again as the same;
 * no other password is as good. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t transaction[STUN_TRANSACTION_SIZE];
    struct stun_request said, again;
    (void)stun_answers(data, size, transaction, key_of(SPAN("key")));
    uint8_t made[STUN_REQUEST_MAX];
    int err = stun_read(&said, data, size);
    assert(err <= 0 && err >= STUN_FINGERPRINT);
    if (err < 0)
        return 0;
    const uint8_t *name = (const uint8_t *)said.username.ptr;
    assert(name > data && said.username.len > 0 && name + said.username.len <= data + size);
    assert(said.integrity_at + 32 == size);
    (void)stun_authentic(&said, data, key_of(SPAN("0123456789abcdef01234567")));
    int len = stun_write(made, sizeof made, &said, key_of(SPAN("key")));
    assert(len > 0 && stun_read(&again, made, (size_t)len) == 0);
    assert(span_equal(again.username, said.username) && again.priority == said.priority);
    assert(again.controlling == said.controlling && again.use_candidate == said.use_candidate);
    assert(stun_authentic(&again, made, key_of(SPAN("key"))));
    assert(!stun_authentic(&again, made, key_of(SPAN("kez"))));
    uint8_t answer[STUN_ANSWER_MAX];
    struct in6_addr address;
    memset(&address, 0, sizeof address);
    memcpy(&address, data, size < sizeof address ? size : sizeof address);
    size_t answered = stun_answer(answer, &said, &address, 9347, key_of(SPAN("key")));
    assert(answered <= STUN_ANSWER_MAX);
    assert(stun_answers(answer, answered, said.transaction, key_of(SPAN("key"))));
    assert(!stun_answers(answer, answered, said.transaction, key_of(SPAN("kez"))));
    return 0;
}
