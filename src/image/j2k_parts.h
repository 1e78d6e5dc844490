/* Inside the decoder of JPEG 2000: the parts of a tile, and what each of its files does with them. Coordinates are the
 * standard's, x1 and y1 being the first place behind. */
#ifndef PFM_IMAGE_J2K_PARTS_H
#define PFM_IMAGE_J2K_PARTS_H

#include "base/memory.h"

#include <stdbool.h>

enum {
    J2K_MOST_LEVELS = 10,
    J2K_MOST_COMPONENTS = 3,
    J2K_MOST_BANDS = 3 * J2K_MOST_LEVELS + 1,
    J2K_MOST_PLANES = 30,
    J2K_MOST_TREE = 16,    /* levels of a tag tree: no band has more blocks in a row than 2^13 */
    J2K_MOST_BLOCK = 4096, /* samples */
    J2K_MOST_SIDE = 1024,  /* of a block */
    J2K_STRIP = 16         /* columns that are lifted together */
};

/* What the main header says (A.5, A.6). */
typedef struct j2k_header {
    int x0, y0, x1, y1, tile_x0, tile_y0, tile_width, tile_height;
    int components, depth;
    bool is_signed, reversible, mixes_colours;
    int progression, layers, levels, block_width, block_height; /* the blocks' as powers of two */
    int guard, steps;
    bool whole_steps, derived;     /* no step is but 1; all follow from the first */
    unsigned step[J2K_MOST_BANDS]; /* [steps] exponent << 11 | mantissa, LL first */
} j2k_header;

/* Bytes that a packet has for a block. */
typedef struct j2k_chunk {
    size_t at, size; /* in the tile's */
    int next;        /* of the same block, -1: none */
} j2k_chunk;

typedef struct j2k_block {
    int x, y, width, height; /* in its band */
    int length_bits;         /* Lblock; 0 before it is included */
    int planes, passes;
    int first, last; /* chunks, -1: none */
    size_t size;     /* bytes of all */
} j2k_block;

/* A node of a tag tree (B.10.2). */
typedef struct j2k_node {
    int low, value; /* value INT_MAX: not known */
} j2k_node;

typedef struct j2k_tree {
    int width[J2K_MOST_TREE], height[J2K_MOST_TREE], levels; /* the leaves' level first */
    j2k_node *nodes;
} j2k_tree;

typedef struct j2k_band {
    int kind; /* 0 LL, 1 HL, 2 LH, 3 HH */
    int x0, y0, x1, y1;
    int across, down; /* blocks */
    int planes;       /* Mb */
    float step;       /* of the irreversible transform */
    j2k_block *blocks;
    j2k_tree included, empty_planes;
    size_t at; /* its first sample in the component's values */
} j2k_band;

typedef struct j2k_resolution {
    int x0, y0, x1, y1, count;
    j2k_band bands[3];
} j2k_resolution;

typedef struct j2k_tile {
    int x0, y0, x1, y1, levels, components;
    j2k_resolution resolutions[J2K_MOST_COMPONENTS][J2K_MOST_LEVELS + 1];
    /* [y1 - y0][x1 - x0] of int32_t, or float: bands, each resolution's in the corner of the next, and in the end samples */
    void *values[J2K_MOST_COMPONENTS];
    const unsigned char *bytes;
    size_t size;
    j2k_chunk *chunks;
    size_t chunk_count, chunk_capacity;
} j2k_tile;

/* A block to be decoded. */
typedef struct j2k_job {
    const j2k_band *band;
    const j2k_block *block;
    void *values; /* the component's */
} j2k_job;

/* A block that is being decoded. */
typedef struct j2k_lane j2k_lane;

/* The next pass of one block, and the same of another unless it is NULL; for processors with BMI2 and LZCNT. */
void pfm_j2k_pass_bmi2(j2k_lane *a, j2k_lane *b);
/* That for processors with AVX-512 VBMI2 too, with tables of its own. */
void pfm_j2k_pass_avx512(j2k_lane *a, j2k_lane *b);

/* Lists what the next pass, a refinement pass, visits; how many. For processors with those and AVX-512 VBMI2. */
size_t pfm_j2k_list_avx512(j2k_lane *lane);

/* What a thread decodes blocks in. */
typedef struct j2k_scratch j2k_scratch;

static inline int j2k_ceil_shift(int value, int shift) { return (int)(((int64_t)value + (INT64_C(1) << shift) - 1) >> shift); }

/* The parts of tile `number`; false: out of memory, or more precincts than one. */
bool pfm_j2k_tile_create(const j2k_header *header, int number, j2k_tile *out);
void pfm_j2k_tile_free(j2k_tile *tile);

/* Reads all packets, which must fill the tile's bytes. */
bool pfm_j2k_read_packets(const j2k_header *header, j2k_tile *tile);

j2k_scratch *pfm_j2k_scratch_create(void); /* NULL: out of memory */
void pfm_j2k_scratch_free(j2k_scratch *scratch);
/* Room for blocks of so many bytes; false: out of memory. */
bool pfm_j2k_scratch_reserve(j2k_scratch *scratch, size_t size);
/* Decodes blocks that have passes, one or two (which takes less time than one after the other), for which there is room, into
 * their components' values. */
void pfm_j2k_decode_pair(j2k_scratch *scratch, const j2k_tile *tile, const j2k_job *jobs, int count, bool reversible);

/* The inverse transform of component c's resolution r > 0, when that of r - 1 is done: first rows first..end-1, all of them,
 * then columns, at most J2K_STRIP at once. Threads may divide rows, and then columns. `lines`: room for a row, and for
 * J2K_STRIP columns. */
void pfm_j2k_lift_rows(const j2k_tile *tile, int c, int r, bool reversible, int first, int end, void *lines);
void pfm_j2k_lift_columns(const j2k_tile *tile, int c, int r, bool reversible, int first, int end, void *lines);

#endif
