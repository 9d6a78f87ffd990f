/* post_url: URLs: which are good, and where they may lead. */
#include "courier/post_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "courier/reach.h"

static bool is_https(const char *url)
{
    return strncasecmp(url, "https:", strlen("https:")) == 0;
}

static uint16_t port_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

bool post_may_connect(const struct reach *reach, const char *url, const struct sockaddr *address)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return false;
    char *host = NULL;
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK)
        curl_url_get(parts, CURLUPART_HOST, &host, 0);
    const struct in6_addr key = address_of(address);
    bool may = host && reach_allows_port(reach, port_of(address)) &&
               reach_allows(reach, &key, span_from(host), is_https(url));
    curl_free(host);
    curl_url_cleanup(parts);
    return may;
}

/* What is before the path, as it is written: one host that is written in two ways has connections
 * in two lines, and no harm is done. */
unsigned post_line_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + strlen("://") : url;
    size_t len = (size_t)(host - url) + strcspn(host, "/?#");
    return (unsigned)(XXH3_64bits(url, len) % POST_LINES);
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static bool port_is_good(const struct reach *reach, CURLU *parts)
{
    char *text = NULL;
    bool good = curl_url_get(parts, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                reach_allows_port(reach, (uint16_t)strtol(text, NULL, 10));
    curl_free(text);
    return good;
}

bool post_url_good(const struct reach *reach, const char *url)
{
    char *scheme = NULL, *host = NULL;
    if (strnlen(url, POST_URL_MAX + 1) > POST_URL_MAX || !is_printable(url))
        return false;
    CURLU *parts = curl_url();
    bool good =
        parts && curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && port_is_good(reach, parts);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return good;
}
