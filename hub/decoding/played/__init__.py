"""What is played: videos and sounds, opened by FFmpeg within bounds."""
