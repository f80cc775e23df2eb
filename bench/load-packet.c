// The bytes of the packets a client sends, and the two things it has to read out of variable-length fields.
#include "load.h"
#include <stdlib.h>
#include <string.h>

static size_t put_uint16(unsigned char *at, unsigned value) {
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
    return 2;
}

static size_t put_string(unsigned char *at, const char *text) {
    size_t length = strlen(text);
    put_uint16(at, (unsigned)length);
    memcpy(at + 2, text, length);
    return length + 2;
}

static size_t put_variable_integer(unsigned char *at, size_t value) {
    size_t length = 0;
    do {
        unsigned char digit = value & 127;
        value >>= 7;
        at[length++] = digit | (value ? 128 : 0);
    } while (value);
    return length;
}

// Writes a whole packet; the body is copied behind a header whose length is only known once the body is.
static size_t packet(unsigned char *to, unsigned char first_byte, const unsigned char *body, size_t length) {
    to[0] = first_byte;
    size_t header = 1 + put_variable_integer(to + 1, length);
    memcpy(to + header, body, length);
    return header + length;
}

// Replaces the first "%d" by the client's index: 'devices/%d/telemetry'. Not printf, because the text comes from outside.
static void expand(char *to, size_t capacity, const char *pattern, int index) {
    const char *mark = strstr(pattern, "%d");
    if (!mark)
        snprintf(to, capacity, "%s", pattern);
    else
        snprintf(to, capacity, "%.*s%d%s", (int)(mark - pattern), pattern, index, mark + 2);
}

size_t packet_connect(const struct options *options, const struct client *client, unsigned char *to) {
    static const char *role_marks[] = {"p", "s", "i"};
    bool clean = client->role == SUBSCRIBER ? options->subscriber_clean : options->clean;
    unsigned char body[1024];
    char id[128];
    size_t length = put_string(body, "MQTT");
    body[length++] = (unsigned char)options->version;
    body[length++] = (unsigned char)((clean ? 2 : 0) | (options->password ? 0x40 : 0) | (options->user ? 0x80 : 0));
    length += put_uint16(body + length, 0); // keep alive off: pings would be a load of their own
    if (options->version == 5) {
        unsigned expiry = clean ? 0 : (unsigned)options->expiry_seconds;
        body[length++] = expiry ? 5 : 0;
        if (expiry) {
            body[length++] = 0x11; // Session Expiry Interval
            length += put_uint16(body + length, expiry >> 16);
            length += put_uint16(body + length, expiry & 0xffff);
        }
    }
    snprintf(id, sizeof id, "%s-%s%d", options->id_prefix, role_marks[client->role], client->index);
    length += put_string(body + length, id);
    if (options->user)
        length += put_string(body + length, options->user);
    if (options->password)
        length += put_string(body + length, options->password);
    return packet(to, 0x10, body, length);
}

size_t packet_subscribe(const struct options *options, const struct client *client, unsigned char *to) {
    unsigned char body[600];
    char filter[256], shared[512];
    expand(filter, sizeof filter, options->filter, client->index);
    size_t length = put_uint16(body, 1);
    if (options->version == 5)
        body[length++] = 0;
    if (options->share)
        snprintf(shared, sizeof shared, "$share/%s/%s", options->share, filter);
    length += put_string(body + length, options->share ? shared : filter);
    body[length++] = (unsigned char)options->subscribe_qos;
    return packet(to, 0x82, body, length);
}

// Payload: 8 bytes when it was sent (or was due), 2 bytes publisher, 2 bytes run, 4 bytes sequence number, then filler.
void packet_template(const struct options *options, struct client *client) {
    char topic[256];
    expand(topic, sizeof topic, options->topic, client->index);
    size_t body_max = strlen(topic) + (size_t)options->size + 64 + 32 * (size_t)options->user_properties;
    unsigned char *body = calloc(1, body_max);
    size_t length = put_string(body, topic), id_offset = length;
    if (options->qos)
        length += 2;
    if (options->version == 5) {
        unsigned char properties[32 * 16];
        size_t properties_length = 0;
        for (int i = 0; i < options->user_properties; i++) {
            char name[32];
            snprintf(name, sizeof name, "property%d", i);
            properties[properties_length++] = 0x26; // User Property
            properties_length += put_string(properties + properties_length, name);
            properties_length += put_string(properties + properties_length, "value");
        }
        length += put_variable_integer(body + length, properties_length);
        memcpy(body + length, properties, properties_length);
        length += properties_length;
    }
    size_t payload_offset = length;
    memset(body + length, 'x', (size_t)options->size);
    length += (size_t)options->size;

    client->template = malloc(length + 5);
    client->template[0] = (unsigned char)(0x30 | options->qos << 1 | (options->retain ? 1 : 0));
    size_t header = 1 + put_variable_integer(client->template + 1, length);
    memcpy(client->template + header, body, length);
    free(body);
    client->template_length = header + length;
    client->id_offset = header + id_offset;
    client->payload_offset = header + payload_offset;
    uint16_t origin[2] = {(uint16_t)client->index, options->run_mark};
    memcpy(client->template + client->payload_offset + 8, origin, 4);
}

size_t packet_variable_integer(const unsigned char *at, size_t available, size_t *value) {
    *value = 0;
    for (size_t i = 0; i < available && i < 4; i++) {
        *value |= (size_t)(at[i] & 127) << (7 * i);
        if (!(at[i] & 128))
            return i + 1;
    }
    return 0;
}

// A broker may allow fewer messages in flight than --window asks for; to ignore it would be a protocol error [MQTT-3.3.4-7].
int packet_receive_maximum(const unsigned char *at, size_t length) {
    size_t properties, i = packet_variable_integer(at, length, &properties);
    while (i < length) {
        switch (at[i++]) {
        case 0x21:
            return at[i] << 8 | at[i + 1];
        case 0x11:
        case 0x27:
            i += 4;
            break;
        case 0x13:
        case 0x22:
            i += 2;
            break;
        case 0x24:
        case 0x25:
        case 0x28:
        case 0x29:
        case 0x2a:
            i += 1;
            break;
        case 0x26:
            i += 2 + (size_t)(at[i] << 8 | at[i + 1]); // a name; the value is skipped like any other string
            i += 2 + (size_t)(at[i] << 8 | at[i + 1]);
            break;
        default:
            i += 2 + (size_t)(at[i] << 8 | at[i + 1]);
        }
    }
    return 65535;
}
