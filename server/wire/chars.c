#include "wire/chars.h"

enum {
    T = CHAR_TOKEN,
    V = CHAR_VALUE,
    G = CHAR_TARGET,
    H = CHAR_HOST,
    D = CHAR_DIGIT,
    /* What usually comes together. */
    VG = V | G,
    VGH = V | G | H,
    TVG = T | V | G,
    ALL = T | V | G | H,
    NUM = T | V | G | H | D,
};

const uint8_t chars_table[256] = {
    ['\t'] = V,          [' '] = V,   ['!'] = ALL,         ['"'] = V,    ['#'] = T | V,
    ['$'] = ALL,         ['%'] = ALL, ['&'] = ALL,         ['\''] = ALL, ['('] = VGH,
    [')'] = VGH,         ['*'] = ALL, ['+'] = ALL,         [','] = VG,   ['-'] = ALL,
    ['.'] = ALL,         ['/'] = VG,  ['0' ... '9'] = NUM, [':'] = VGH,  [';'] = VGH,
    ['<'] = V,           ['='] = VGH, ['>'] = V,           ['?'] = VG,   ['@'] = VG,
    ['A' ... 'Z'] = ALL, ['['] = VGH, ['\\'] = VG,         [']'] = VGH,  ['^'] = TVG,
    ['_'] = ALL,         ['`'] = TVG, ['a' ... 'z'] = ALL, ['{'] = VG,   ['|'] = TVG,
    ['}'] = VG,          ['~'] = ALL, [0x80 ... 0xFF] = V,
};
