// SPDX-License-Identifier: Apache-2.0
// classify MODEL.bin PICTURE.pgm...: what each picture shows, by the digits sample's model and the
// public C API. Pictures run in two streams in turn: while one waits, the other's may work.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>

enum { PIXELS = 28 * 28, LABELS = 10, STREAMS = 2 };

typedef struct lane {
    accel_stream_t *stream;
    float *picture, *probability; // memory that the card reaches by itself
    const char *name;             // of the picture in work, or NULL
} lane_t;

static void must(accel_status_t status, const accel_error_t *error) {
    if (status == ACCEL_OK)
        return;
    fprintf(stderr, "classify: %s\n", error->text);
    exit(1);
}

// A binary PGM of 28 x 28 grey values.
static void read_picture(const char *path, float *out_pixels) {
    unsigned char bytes[PIXELS];
    int width, height, most;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fscanf(file, "P5 %d %d %d", &width, &height, &most) != 3 || width != 28 ||
        height != 28 || most != 255 || fgetc(file) == EOF ||
        fread(bytes, 1, PIXELS, file) != PIXELS) {
        fprintf(stderr, "classify: %s: not a PGM picture (P5) of 28 x 28\n", path);
        exit(1);
    }
    fclose(file);
    for (int i = 0; i < PIXELS; i++)
        out_pixels[i] = (float)bytes[i] / 255;
}

static void open_lane(accel_device_t *device, lane_t *lane) {
    accel_error_t error;
    void *memory;
    must(accel_stream_create(device, NULL, &lane->stream, &error), &error);
    must(accel_host_alloc(device, PIXELS * sizeof(float), &memory, &error), &error);
    lane->picture = memory;
    must(accel_host_alloc(device, LABELS * sizeof(float), &memory, &error), &error);
    lane->probability = memory;
}

static void start(lane_t *lane, accel_module_t *module, const char *path) {
    accel_error_t error;
    accel_tensor_t input = {.name = "picture",
                            .dtype = ACCEL_F32,
                            .rank = 4,
                            .dims = {1, 1, 28, 28},
                            .data = lane->picture,
                            .bytes = PIXELS * sizeof(float)};
    accel_tensor_t output = {
        .name = "probability", .data = lane->probability, .bytes = LABELS * sizeof(float)};
    read_picture(path, lane->picture);
    must(accel_stream_launch(lane->stream, module, &input, 1, &output, 1, &error), &error);
    lane->name = path;
}

static void finish(lane_t *lane) {
    accel_error_t error;
    int best = 0;
    if (lane->name == NULL)
        return;
    must(accel_stream_wait(lane->stream, UINT64_MAX, &error), &error);
    for (int i = 1; i < LABELS; i++)
        if (lane->probability[i] > lane->probability[best])
            best = i;
    printf("%s: %d (%.1f %%)\n", lane->name, best, 100 * (double)lane->probability[best]);
    lane->name = NULL;
}

int main(int argc, char **argv) {
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
    accel_device_info_t info;
    accel_error_t error;
    lane_t lanes[STREAMS] = {0};
    if (argc < 3) {
        fprintf(stderr, "Usage: %s MODEL.bin PICTURE.pgm...\n", argv[0]);
        return 2;
    }
    must(accel_program_open(argv[1], &program, &error), &error);
    accel_device_options_t options = {.profile = accel_program_profile(program)};
    must(accel_device_open("auto", &options, &device, &error), &error);
    must(accel_device_info(device, &info), &error);
    printf("a card of %u cores, %s\n", info.cores, info.kind);
    must(accel_module_load(device, program, NULL, &module, &error), &error);
    for (int i = 0; i < STREAMS; i++)
        open_lane(device, &lanes[i]);

    for (int i = 2; i < argc + STREAMS; i++) {
        lane_t *lane = &lanes[i % STREAMS];
        finish(lane);
        if (i < argc)
            start(lane, module, argv[i]);
    }

    for (int i = 0; i < STREAMS; i++) {
        accel_stream_destroy(lanes[i].stream);
        accel_host_free(device, lanes[i].picture);
        accel_host_free(device, lanes[i].probability);
    }
    accel_module_unload(module);
    accel_device_close(device);
    accel_program_close(program);
    return 0;
}
