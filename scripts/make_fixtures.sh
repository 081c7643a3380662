#!/bin/sh
# Draws the small clips of tests/data/clips with the program ffmpeg (with x264, x265 and libvpx).
#
# A clip has fifty frames of 96x64 at 25 per second. The upper half is FFmpeg's moving test picture. The lower half is a grey that
# grows by four levels per frame, so that a test can tell the number of a frame from its pixels. Run it from the repository's
# root; it overwrites the clips. The
# README of that folder names the few clips that were edited by hand; they stay as they are.
set -eu

out=tests/data/clips
rm -rf "$out/tmp"
mkdir -p "$out/tmp"

encode() { ffmpeg -nostdin -hide_banner -v error -y "$@"; }
picture="testsrc2=size=96x64:rate=25:duration=2,format=yuv420p,geq=lum='if(lt(Y,32),lum(X,Y),20+4*N)':cb='if(lt(Y,16),cb(X,Y),128)':cr='if(lt(Y,16),cr(X,Y),128)'"
encode -f lavfi -i "$picture" -c:v ffv1 "$out/tmp/source.mkv"
source="$out/tmp/source.mkv"
tone="-f lavfi -i sine=frequency=440:duration=6"
x264="-c:v libx264 -preset veryfast -crf 26 -threads 1"

# Clips that differ in where decoding can start.
encode -i "$source" $x264 -bf 0 -g 250 "$out/one_key.mp4"
encode -i "$source" $x264 -bf 0 -g 5 -movflags +faststart "$out/many_keys.mp4"
encode -i "$source" $x264 -bf 3 -g 10 "$out/b_frames.mp4"
encode -i "$source" $x264 -bf 3 -g 10 -x264-params open-gop=1 "$out/open_gop.mp4"
encode -i "$source" $x264 -bf 3 -g 10 -x264-params open-gop=1 "$out/tmp/open_gop.ts"
encode -ss 0.5 -i "$out/tmp/open_gop.ts" -c copy "$out/open_start.ts"
encode -i "$source" $x264 -bf 3 -g 25 -x264-params intra-refresh=1 "$out/intra_refresh.mkv"
encode -i "$source" -c:v libx265 -preset veryfast -x265-params log-level=none:keyint=10:open-gop=1:pools=1 "$out/open_gop_hevc.mkv"
encode -i "$source" $x264 -bf 3 -g 10 -x264-params open-gop=1:b-pyramid=normal:ref=4 "$out/tmp/forgetting.mp4"
encode -ss 1.2 -i "$out/tmp/forgetting.mp4" -c copy "$out/cut_open_gop.mp4"
encode -i "$source" $x264 -bf 3 -g 12 -x264-params open-gop=1:b-pyramid=strict:ref=2:b-adapt=0 "$out/tmp/strict.mp4"
encode -ss 1.0 -i "$out/tmp/strict.mp4" -c copy "$out/cut_open_gop.mkv"

# Pictures that nothing refers to, among pyramids of those that something does; several slices; fields.
encode -i "$source" $x264 -bf 5 -g 25 -x264-params b-pyramid=normal:b-adapt=0:ref=4:slices=4 "$out/pyramid.mp4"
encode -i "$source" $x264 -bf 3 -g 25 -flags +ildct+ilme -x264-params tff=1:b-adapt=0 "$out/interlaced.mp4"
encode -i "$source" -c:v libx265 -preset veryfast \
    -x265-params log-level=none:keyint=25:bframes=6:b-adapt=0:b-pyramid=1:pools=1 "$out/pyramid_hevc.mp4"
encode -i "$source" -c:v libvpx-vp9 -b:v 60k -g 25 -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16 "$out/pyramid_vp9.mp4"
encode -i "$source" -c:v libaom-av1 -b:v 200k -g 25 -cpu-used 8 -lag-in-frames 16 "$out/pyramid_av1.mp4"

# Clips with unusual times.
encode -ss 0.5 -i "$out/b_frames.mp4" -c copy "$out/edit_list.mp4"
encode -i "$out/b_frames.mp4" -c copy -output_ts_offset 100 "$out/late_start.ts"
encode -i "$source" -vf "select='not(mod(n,3))+gt(n,30)'" -vsync vfr $x264 -bf 2 -g 10 "$out/variable_rate.mp4"
encode -i "$source" $tone $x264 -bf 2 -g 10 -c:a aac -b:a 16k "$out/long_audio.mp4"
encode -i "$source" $x264 -bf 3 -g 10 -f h264 "$out/no_times.h264"

# Clocks: two recordings joined, where the second begins with the first one's times but for a part of a frame; the clock set
# back by 100 s, which FFmpeg takes for the end of its range; times of decoding in place of times of showing.
for offset in 0 0.1111 100; do
    encode -i "$out/b_frames.mp4" -c copy -muxdelay 0 -output_ts_offset $offset "$out/tmp/$offset.ts"
    encode -i "$out/b_frames.mp4" -c copy -output_ts_offset $offset "$out/tmp/$offset.flv"
done
cat "$out/tmp/0.ts" "$out/tmp/0.1111.ts" >"$out/joined.ts"
(cat "$out/tmp/0.flv" && tail -c +14 "$out/tmp/0.1111.flv") >"$out/joined.flv"
cat "$out/tmp/100.ts" "$out/tmp/0.ts" >"$out/clock_jump.ts"
encode -i "$out/b_frames.mp4" -c copy -bsf:v setts=pts=DTS-STARTDTS "$out/decode_times.mkv"

# A recording that begins within a refresh: its headers come with the next recovery point, 20 frames before the first whole picture.
encode -i "$source" $x264 -bf 0 -g 20 -x264-params intra-refresh=1 -muxdelay 0 "$out/tmp/refresh.ts"
tail -c +11281 "$out/tmp/refresh.ts" >"$out/open_refresh.ts"

# False headers: 100 frames are declared for 50, or there are hidden frames among the packets.
encode -i "$out/one_key.mp4" -c copy -r 50 "$out/lying_count.avi"
encode -i "$out/b_frames.mp4" -c copy "$out/b_frames.avi"
# VP8 hides a frame only if little moves. So this is a still picture, with the grey in the lowest eight rows only.
encode -f lavfi -i "testsrc2=size=400x400:rate=25,loop=loop=60:size=1,boxblur=2,crop=96:64:60:60,format=yuv420p,\
geq=lum='if(lt(Y,56),lum(X,Y),20+4*N)':cb=128:cr=128" -frames:v 50 -c:v ffv1 "$out/tmp/still.mkv"
for pass in 1 2; do
    encode -i "$out/tmp/still.mkv" -c:v libvpx -b:v 60k -g 100 -auto-alt-ref 1 -lag-in-frames 25 -arnr-maxframes 7 \
        -arnr-strength 5 -deadline good -cpu-used 0 -pass $pass -passlogfile "$out/tmp/vp8" "$out/hidden_frames.webm"
done
encode -i "$source" -c:v libvpx-vp9 -b:v 60k -g 10 -cpu-used 8 "$out/vp9.webm"
encode -i "$source" -c:v mpeg4 -bf 2 -g 10 -q:v 2 "$out/mpeg4.avi"
encode -i "$source" -c:v mpeg4 -bf 2 -g 10 -q:v 5 "$out/b_frames_mpeg4.mp4"
encode -i "$source" -c:v libsvtav1 -preset 10 -crf 35 -g 25 "$out/layers_av1.mp4"
encode -i "$out/b_frames.mp4" -c copy -movflags frag_keyframe+empty_moov+default_base_moof "$out/fragmented.mp4"

# Pixel formats.
encode -i "$source" $x264 -pix_fmt yuv422p10 -g 10 "$out/ten_bit_422.mp4"
encode -i "$source" $x264 -pix_fmt yuv444p -g 10 "$out/chroma_444.mp4"
encode -i "$source" -vf "format=yuva420p" -c:v libvpx-vp9 -b:v 60k -cpu-used 8 "$out/alpha.webm"
encode -i "$source" -vf "scale=97:65,format=yuv420p" -c:v libvpx-vp9 -b:v 60k -cpu-used 8 "$out/odd_size.webm"
encode -i "$source" -c:v libx265 -preset veryfast -pix_fmt yuv420p10 -x265-params log-level=none:pools=1 \
    -color_trc smpte2084 -color_primaries bt2020 -colorspace bt2020nc "$out/pq.mp4"

# Palettes: one for the whole clip, given with its first packet; one for each frame.
palette() { echo "scale=$1:flags=neighbor,format=rgb24,split[a][b];[a]palettegen=reserve_transparent=0:stats_mode=$2[p];\
[b][p]paletteuse=dither=none:new=$3"; }
encode -i "$source" -vf "$(palette 48:32 full 0)" -c:v rawvideo -pix_fmt pal8 "$out/palette.avi"
encode -i "$out/palette.avi" -c copy "$out/palette.mov"
encode -i "$source" -vf "$(palette 24:16 single 1)" -c:v rawvideo -pix_fmt pal8 "$out/palette_changes.avi"

# Two tracks; a test marks the first as one that accompanies the second.
encode -i "$source" -filter_complex "[0:v]split[a][b];[a]scale=192:128[big]" -map "[big]" -map "[b]" $x264 -bf 0 "$out/two_tracks.mp4"

# For zeros behind the last tag, and for encrypted tracks.
encode -i "$out/one_key.mp4" -c copy -fflags +bitexact "$out/tags.flv"
encode -i "$out/one_key.mp4" -frames:v 12 -c copy -encryption_scheme cenc-aes-ctr \
    -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8 "$out/encrypted.mp4"

# Files that are not videos.
encode $tone -t 1 -c:a aac -b:a 16k "$out/audio_only.m4a"
encode -i "$source" -frames:v 1 "$out/tmp/cover.png"
encode -f lavfi -i "sine=frequency=440:duration=1" -i "$out/tmp/cover.png" -map 0 -map 1 -c:a libmp3lame -b:a 16k -c:v copy \
    -disposition:v attached_pic "$out/cover_art.mp3"

rm -r "$out/tmp"
du -bc "$out"/* | tail -1
