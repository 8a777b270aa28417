/*
 * descriptor.h - descriptors that other processes share with us.
 */
#ifndef TOOL_DESCRIPTOR_H
#define TOOL_DESCRIPTOR_H

/*
 * Opens a pipe or a terminal anew, non-blocking: that mode is a property of what is shared, and a
 * shell whose terminal stays non-blocking is broken. -1 where it does not work.
 */
int descriptor_open_again(int fd, int mode);

#endif
