/* The packets of a tile (ITU-T T.800, B.9 to B.12). Any length may be a lie: all are held against the bytes that there are. */
#include "image/j2k_parts.h"

#include <assert.h>
#include <limits.h>

enum { LRCP, RLCP, RPCL, PCRL, CPRL };

/* The bits of a packet's header: behind a byte of ones the highest of the next is left out. */
typedef struct bits {
    const unsigned char *bytes;
    size_t size, at;
    unsigned byte;
    int left; /* of it */
    bool ended;
} bits;

static int take_bit(bits *b)
{
    if (b->left == 0) {
        b->left = b->byte == 0xFF ? 7 : 8;
        b->ended = b->ended || b->at == b->size;
        b->byte = b->ended ? 0 : b->bytes[b->at++];
    }
    return (int)(b->byte >> --b->left & 1);
}

static unsigned take_bits(bits *b, int count)
{
    unsigned value = 0;
    while (count-- > 0)
        value = value << 1 | (unsigned)take_bit(b);
    return value;
}

/* Whether the value at a leaf is below `bound` (B.10.2). */
static bool is_below(bits *b, const j2k_tree *tree, int x, int y, int bound)
{
    size_t begin[J2K_MOST_TREE] = {0};
    assert(tree->levels >= 1 && tree->levels <= J2K_MOST_TREE);
    for (int level = 1; level < tree->levels; level++)
        begin[level] = begin[level - 1] + (size_t)tree->width[level - 1] * (size_t)tree->height[level - 1];
    const j2k_node *leaf = NULL;
    int low = 0;
    for (int level = tree->levels - 1; level >= 0; level--) {
        j2k_node *node = &tree->nodes[begin[level] + (size_t)(y >> level) * (size_t)tree->width[level] + (size_t)(x >> level)];
        low = node->low > low ? node->low : low;
        while (low < bound && low < node->value) {
            if (take_bit(b) != 0)
                node->value = low;
            else
                low++;
        }
        node->low = low;
        leaf = node;
    }
    return leaf != NULL && leaf->value < bound;
}

/* Table B.4. */
static int take_passes(bits *b)
{
    if (take_bit(b) == 0)
        return 1;
    if (take_bit(b) == 0)
        return 2;
    unsigned more = take_bits(b, 2);
    if (more < 3)
        return 3 + (int)more;
    more = take_bits(b, 5);
    return more < 31 ? 6 + (int)more : 37 + (int)take_bits(b, 7);
}

static int log2_of(int value) { return 31 - __builtin_clz((unsigned)value); }

/* What a header says of a block: *size = bytes in this packet. */
static bool read_block(bits *b, const j2k_band *band, int x, int y, int layer, size_t *size)
{
    j2k_block *block = &band->blocks[y * band->across + x];
    const bool known = block->length_bits != 0;
    *size = 0;
    if (known ? take_bit(b) == 0 : !is_below(b, &band->included, x, y, layer + 1))
        return !b->ended;
    if (!known) {
        int empty = 0;
        while (!b->ended && empty <= band->planes && !is_below(b, &band->empty_planes, x, y, empty + 1))
            empty++;
        block->planes = band->planes - empty;
        block->length_bits = 3;
    }
    const int passes = take_passes(b);
    while (!b->ended && block->length_bits < 32 && take_bit(b) != 0)
        block->length_bits++;
    const int count = block->length_bits + log2_of(passes);
    if (b->ended || count > 31 || block->planes < 1)
        return false;
    block->passes += passes;
    *size = take_bits(b, count);
    return !b->ended && block->passes <= 3 * block->planes - 2;
}

/* A chunk that begins behind the header, where is not known yet. */
static bool add_chunk(j2k_tile *tile, j2k_block *block, size_t size)
{
    const size_t number = tile->chunk_count;
    if (size == 0)
        return true;
    if (number >= INT_MAX || size > tile->size ||
        pfm_array_reserve(&tile->chunks, &tile->chunk_capacity, number + 1, sizeof *tile->chunks, NULL) != PFM_OK)
        return false;
    tile->chunks[number] = (j2k_chunk){.size = size, .next = -1};
    if (block->last >= 0)
        tile->chunks[block->last].next = (int)number;
    else
        block->first = (int)number;
    block->last = (int)number;
    block->size += size;
    tile->chunk_count++;
    return true;
}

static bool read_packet(j2k_tile *tile, size_t *at, int c, int r, int layer)
{
    const j2k_resolution *resolution = &tile->resolutions[c][r];
    const size_t first = tile->chunk_count;
    bits b = {.bytes = tile->bytes, .size = tile->size, .at = *at};
    const bool filled = take_bit(&b) != 0;
    for (int n = 0; filled && n < resolution->count; n++) {
        const j2k_band *band = &resolution->bands[n];
        for (int y = 0; y < band->down; y++)
            for (int x = 0; x < band->across; x++) {
                size_t size = 0;
                if (!read_block(&b, band, x, y, layer, &size) || !add_chunk(tile, &band->blocks[y * band->across + x], size))
                    return false;
            }
    }
    if (b.byte == 0xFF) { /* what it has stuffed */
        b.ended = b.ended || b.at == b.size;
        b.at++;
    }
    if (b.ended)
        return false;
    *at = b.at;
    for (size_t i = first; i < tile->chunk_count; i++) {
        if (tile->chunks[i].size > tile->size - *at)
            return false;
        tile->chunks[i].at = *at;
        *at += tile->chunks[i].size;
    }
    return true;
}

/* Of one precinct a resolution all orders are three nested loops (B.12). A resolution without samples has no packets. */
bool pfm_j2k_read_packets(const j2k_header *header, j2k_tile *tile)
{
    enum { LAYER, RESOLUTION, COMPONENT };
    static const int orders[][3] = {[LRCP] = {LAYER, RESOLUTION, COMPONENT},
                                    [RLCP] = {RESOLUTION, LAYER, COMPONENT},
                                    [RPCL] = {RESOLUTION, COMPONENT, LAYER},
                                    [PCRL] = {COMPONENT, RESOLUTION, LAYER},
                                    [CPRL] = {COMPONENT, RESOLUTION, LAYER}};
    const int *order = orders[header->progression];
    const int counts[] = {header->layers, tile->levels + 1, tile->components};
    size_t at = 0;
    int i[3] = {0};
    for (i[order[0]] = 0; i[order[0]] < counts[order[0]]; i[order[0]]++)
        for (i[order[1]] = 0; i[order[1]] < counts[order[1]]; i[order[1]]++)
            for (i[order[2]] = 0; i[order[2]] < counts[order[2]]; i[order[2]]++) {
                const j2k_resolution *r = &tile->resolutions[i[COMPONENT]][i[RESOLUTION]];
                const bool empty = r->x1 <= r->x0 || r->y1 <= r->y0;
                if (!empty && !read_packet(tile, &at, i[COMPONENT], i[RESOLUTION], i[LAYER]))
                    return false;
            }
    return at == tile->size;
}
